#include "shim.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define FUNCTIONS(X)      \
  X(mj_version)           \
  X(mj_parseXML)          \
  X(mj_deleteSpec)        \
  X(mj_compile)           \
  X(mj_makeData)          \
  X(mj_deleteData)        \
  X(mj_deleteModel)       \
  X(mj_resetData)         \
  X(mj_step)              \
  X(mj_forward)           \
  X(mj_name2id)           \
  X(mj_contactForce)      \
  X(mj_ray)               \
  X(mj_multiRay)          \
  X(mjs_firstElement)     \
  X(mjs_nextElement)      \
  X(mjs_findElement)      \
  X(mjs_findBody)         \
  X(mjs_asGeom)           \
  X(mjs_asPair)           \
  X(mjs_delete)           \
  X(mjs_addGeom)          \
  X(mjs_addPair)          \
  X(mjs_addSensor)        \
  X(mjs_setString)        \
  X(mjs_getString)        \
  X(mjs_setName)          \
  X(mjs_getError)         \
  X(mju_setLogHandler)

// A pointer to each function.
#define DECLARE(name) static __typeof__(name)* p_##name;
FUNCTIONS(DECLARE)
#undef DECLARE

// Warnings are returned as counts, errors of models as text. The remaining errors end the process; without a handler MuJoCo would
// also write them to a file in the working directory.
static void log_message(const mjLogMessage* m) {
  if (m->level == mjLOG_ERROR) fprintf(stderr, "mujoco: %s\n", m->subject);
}

int krabby_open(const char* library, char* error, int size) {
  void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    snprintf(error, size, "%s", dlerror());
    return 1;
  }
#define LOOK_UP(name)                                   \
  if (!(p_##name = dlsym(handle, #name))) {             \
    snprintf(error, size, "function not found: " #name); \
    dlclose(handle);                                    \
    return 1;                                           \
  }
  FUNCTIONS(LOOK_UP)
#undef LOOK_UP
  // The layout of structures and the signature of this call may change with each version.
  if (p_mj_version() == mjVERSION_HEADER) p_mju_setLogHandler(log_message);
  return 0;
}

int krabby_version(void) { return p_mj_version(); }
int krabby_header_version(void) { return mjVERSION_HEADER; }

// Deletes the spec's elements of a type: all of them, or, of geoms, those that are meshes or height fields.
static void delete_all(mjSpec* s, mjtObj type) {
  for (mjsElement* e = p_mjs_firstElement(s, type); e;) {
    mjsElement* next = p_mjs_nextElement(s, e);
    mjtGeom shape = type == mjOBJ_GEOM ? p_mjs_asGeom(e)->type : mjGEOM_MESH;
    if (shape == mjGEOM_MESH || shape == mjGEOM_HFIELD) p_mjs_delete(s, e);
    e = next;
  }
}

// Models may have contact pairs with a floor of this name.
static const char* const floor_name = "floor";

static void name_box(char* name, size_t size, int number) { snprintf(name, size, "box%d", number); }

static mjsGeom* add_terrain(mjsBody* world, mjtGeom type, int priority) {
  mjsGeom* g = p_mjs_addGeom(world, NULL);
  g->type = type;
  g->group = KRABBY_TERRAIN_GROUP;
  // The floor on which the Go1's policy was trained. The robot's geoms select what collides with it.
  g->contype = 1;
  g->conaffinity = 0;
  g->condim = 3;
  g->friction[0] = 0.6;
  g->priority = priority;
  return g;
}

// Adds each contact pair with the floor for each box too: geoms of such a model collide with nothing else.
static void add_pairs(mjSpec* s, int nboxes) {
  for (mjsElement* e = p_mjs_firstElement(s, mjOBJ_PAIR); e; e = p_mjs_nextElement(s, e)) {
    const mjsPair* pair = p_mjs_asPair(e);
    const char* one = p_mjs_getString(pair->geomname1);
    const char* two = p_mjs_getString(pair->geomname2);
    int first = !strcmp(one, floor_name), second = !strcmp(two, floor_name);
    for (int i = 0; i < nboxes && (first || second); i++) {
      char name[32];
      name_box(name, sizeof name, i);
      mjsPair* added = p_mjs_addPair(s, NULL);
      mjsPair own = *added;
      *added = *pair;
      added->element = own.element;
      added->geomname1 = own.geomname1;
      added->geomname2 = own.geomname2;
      added->info = own.info;
      p_mjs_setString(added->geomname1, first ? name : one);
      p_mjs_setString(added->geomname2, second ? name : two);
    }
  }
}

static void add_sensor(mjSpec* s, mjtSensor type, const char* site) {
  mjsSensor* sensor = p_mjs_addSensor(s);
  sensor->type = type;
  sensor->objtype = mjOBJ_SITE;
  p_mjs_setString(sensor->objname, site);
}

mjModel* krabby_load(const char* model, const char* const* sites, int nsites, const char* const* feet, int nfeet, const krabby_box* boxes,
                     int nboxes, char* error, int size) {
  mjSpec* s = p_mj_parseXML(model, NULL, error, size);
  if (!s) return NULL;

  // Physics needs no meshes: visible shapes have no effect, and inertias must be part of the model.
  s->compiler.inertiafromgeom = mjINERTIAFROMGEOM_FALSE;
  delete_all(s, mjOBJ_GEOM);
  delete_all(s, mjOBJ_MESH);
  delete_all(s, mjOBJ_SENSOR);
  delete_all(s, mjOBJ_KEY);

  // The friction of the floor applies unless the feet have priority.
  int priority = 1;
  for (int i = 0; i < nfeet; i++) {
    mjsElement* e = p_mjs_findElement(s, mjOBJ_GEOM, feet[i]);
    if (e && p_mjs_asGeom(e)->priority > 0) priority = 0;
  }
  mjsBody* world = p_mjs_findBody(s, "world");
  mjsGeom* floor = add_terrain(world, mjGEOM_PLANE, priority);
  p_mjs_setName(floor->element, floor_name);
  floor->size[2] = 0.01;
  for (int i = 0; i < nboxes; i++) {
    mjsGeom* g = add_terrain(world, mjGEOM_BOX, priority);
    char name[32];
    name_box(name, sizeof name, i);
    p_mjs_setName(g->element, name);
    memcpy(g->pos, boxes[i].center, sizeof g->pos);
    memcpy(g->size, boxes[i].half, sizeof g->size);
    memcpy(g->quat, boxes[i].quat, sizeof g->quat);
  }
  add_pairs(s, nboxes);

  const char* site = sites[0];
  for (int i = nsites - 1; i >= 0; i--) {
    if (p_mjs_findElement(s, mjOBJ_SITE, sites[i])) site = sites[i];
  }
  add_sensor(s, mjSENS_GYRO, site);
  add_sensor(s, mjSENS_VELOCIMETER, site);
  add_sensor(s, mjSENS_ACCELEROMETER, site);
  add_sensor(s, mjSENS_FRAMEQUAT, site);

  mjModel* m = p_mj_compile(s, NULL);
  if (!m) {
    snprintf(error, size, "%s", p_mjs_getError(s));
  } else {
    // Report a state that is not finite instead of resetting it.
    m->opt.disableflags |= mjDSBL_AUTORESET;
  }
  p_mj_deleteSpec(s);
  return m;
}

mjModel* krabby_describe(const char* model, char* error, int size) {
  mjSpec* s = p_mj_parseXML(model, NULL, error, size);
  if (!s) return NULL;
  // Files of shapes and images may be elsewhere, inertias may come from these shapes, and contact pairs may be with the floor of a scene:
  // none of them says anything about joints.
  delete_all(s, mjOBJ_PAIR);
  delete_all(s, mjOBJ_GEOM);
  delete_all(s, mjOBJ_MESH);
  delete_all(s, mjOBJ_HFIELD);
  delete_all(s, mjOBJ_SENSOR);
  for (mjsElement* e = p_mjs_firstElement(s, mjOBJ_GEOM); e; e = p_mjs_nextElement(s, e)) {
    p_mjs_setString(p_mjs_asGeom(e)->material, "");
  }
  delete_all(s, mjOBJ_MATERIAL);
  delete_all(s, mjOBJ_TEXTURE);
  s->compiler.boundmass = 1e-6;
  s->compiler.boundinertia = 1e-9;
  s->compiler.balanceinertia = 1;
  mjModel* m = p_mj_compile(s, NULL);
  if (!m) snprintf(error, size, "%s", p_mjs_getError(s));
  p_mj_deleteSpec(s);
  return m;
}

mjData* krabby_data(const mjModel* m) { return p_mj_makeData(m); }

void krabby_free(mjModel* m, mjData* d) {
  p_mj_deleteData(d);
  p_mj_deleteModel(m);
}

int krabby_id(const mjModel* m, int type, const char* name) { return p_mj_name2id(m, type, name); }

void krabby_reset(const mjModel* m, mjData* d) { p_mj_resetData(m, d); }

int krabby_step(const mjModel* m, mjData* d, int n) {
  for (int i = 0; i < n; i++) p_mj_step(m, d);
  p_mj_forward(m, d);
  return d->warning[mjWARN_BADQPOS].number + d->warning[mjWARN_BADQVEL].number + d->warning[mjWARN_BADQACC].number +
         d->warning[mjWARN_BADCTRL].number;
}

void krabby_contacts(const mjModel* m, const mjData* d, const int* foot, int nfeet, unsigned char* touching) {
  memset(touching, 0, nfeet);
  for (int i = 0; i < d->ncon; i++) {
    const int of[2] = {foot[d->contact[i].geom[0]], foot[d->contact[i].geom[1]]};
    if (of[0] < 0 && of[1] < 0) continue;
    mjtNum force[6];
    p_mj_contactForce(m, d, i, force);
    for (int side = 0; side < 2; side++) {
      if (of[side] >= 0 && force[0] > 0) touching[of[side]] = 1;
    }
  }
}

// The groups that rays hit.
static const mjtByte terrain[mjNGROUP] = {[KRABBY_TERRAIN_GROUP] = 1};

double krabby_ray(const mjModel* m, const mjData* d, const double* point, const double* vec) {
  return p_mj_ray(m, d, point, vec, terrain, 1, -1, NULL, NULL);
}

void krabby_rays(const mjModel* m, mjData* d, const double* point, const double* vec, double* distance, int n) {
  // No cutoff: mj_multiRay compares it with the distance to the origin of a plane, and drops the floor beyond.
  p_mj_multiRay(m, d, point, vec, terrain, 1, -1, NULL, distance, NULL, n, mjMAXVAL);
}
