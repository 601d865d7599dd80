// The part of MuJoCo's C API that package mujoco uses, in few calls from Go. krabby_open loads the library at run time, so that a
// program which links this package starts without it.
#ifndef KRABBY_HAL_MUJOCO_SHIM_H_
#define KRABBY_HAL_MUJOCO_SHIM_H_

#include <mujoco/mujoco.h>

// A box of the terrain: its centre and half of its sides, in m, and its orientation (w, x, y, z).
typedef struct {
  double center[3];
  double half[3];
  double quat[4];
} krabby_box;

// The sensors that krabby_load adds, in the order in which they are in sensordata.
enum {
  KRABBY_GYRO = 0,           // 3: rad/s, base frame
  KRABBY_VELOCITY = 3,       // 3: m/s, base frame
  KRABBY_ACCELERATION = 6,   // 3: m/s^2, base frame
  KRABBY_ORIENTATION = 9,    // 4: w, x, y, z
  KRABBY_SENSORS = 13,
};

// The group of the terrain's geoms. Rays hit only this group.
enum { KRABBY_TERRAIN_GROUP = 5 };

// Loads the library. On failure it returns nonzero and writes the reason to error.
int krabby_open(const char* library, char* error, int size);

// Versions of the library that was loaded, and of the headers that this was compiled with.
int krabby_version(void);
int krabby_header_version(void);

// Loads a robot's model without its meshes, sensors and keyframes, puts it on a floor with boxes, and adds the sensors
// above at the first of the sites that the model has. The feet are the names of geoms. On failure it returns NULL and writes the reason
// to error.
mjModel* krabby_load(const char* model, const char* const* sites, int nsites, const char* const* feet, int nfeet, const krabby_box* boxes,
                     int nboxes, char* error, int size);

// Loads a model as it is, MJCF or URDF, without meshes, height fields, materials, textures and sensors, whose files it does not read, for
// a look at its joints and actuators. On failure it returns NULL and writes the reason to error.
mjModel* krabby_describe(const char* model, char* error, int size);

mjData* krabby_data(const mjModel* m);
void krabby_free(mjModel* m, mjData* d);
int krabby_id(const mjModel* m, int type, const char* name);

// Sets all of the state to 0, or to the model's reference.
void krabby_reset(const mjModel* m, mjData* d);

// Simulates n steps and computes all quantities of the final state. It returns the number of warnings about values that are not
// finite or huge.
int krabby_step(const mjModel* m, mjData* d, int n);

// Sets touching for each foot with a contact force. foot has the foot of each geom, or -1.
void krabby_contacts(const mjModel* m, const mjData* d, const int* foot, int nfeet, unsigned char* touching);

// Casts one ray from a point at the terrain: the distance along vec, or -1 for no hit.
double krabby_ray(const mjModel* m, const mjData* d, const double* point, const double* vec);

// Casts n rays from a point at the terrain: distances along vec, or -1 for no hit.
void krabby_rays(const mjModel* m, mjData* d, const double* point, const double* vec, double* distance, int n);

#endif
