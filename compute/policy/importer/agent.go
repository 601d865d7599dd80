package importer

import (
	"fmt"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

// isAgent reports whether a file is params/agent.yaml, the configuration of rsl_rl beside Isaac Lab's env.yaml.
func isAgent(doc *document) bool {
	top := doc.top()
	return top.has("algorithm") && (top.has("policy") || top.has("actor"))
}

// readAgent takes the agent's configuration out of the files. It has activation and distribution of the network, and a clip.
func (d *draft) readAgent() error {
	i := slices.IndexFunc(d.docs, isAgent)
	if i < 0 {
		return nil
	}
	d.agent = d.docs[i]
	d.docs = slices.Delete(d.docs, i, i+1)
	top := d.agent.top()
	actor, ok := top.get("actor")
	if !ok {
		actor, _ = top.get("policy")
	}
	if d.network != nil {
		if err := d.readActor(actor); err != nil {
			return err
		}
	}
	if v, ok := top.get("clip_actions"); ok {
		limit, err := v.number()
		if err != nil {
			return err
		}
		if !(limit > 0) || isInfinite(limit) {
			return v.wrong(fmt.Sprint(limit), "more than 0")
		}
		d.m.Action.Clip = policy.Symmetric(limit)
		d.note("action.clip", d.m.Action.Clip, from(v))
	}
	return nil
}

// readActor takes activation and distribution, unless the options have them.
func (d *draft) readActor(actor value) error {
	if v, ok := actor.get("activation"); ok && d.o.Activation == "" {
		name, err := v.text()
		if err != nil {
			return err
		}
		if _, known := activations[strings.ToLower(name)]; !known {
			return v.wrong(quote(name), oneOf(name, Activations()))
		}
		d.o.Activation = strings.ToLower(name)
		d.note("network activation", d.o.Activation, from(v))
	}
	v, ok := actor.get("distribution_cfg")
	if !ok || d.o.Distribution != "" {
		return nil
	}
	class, ok := v.get("class_name")
	if !ok {
		return v.wrong("no class_name", "the class of the distribution")
	}
	name, err := class.text()
	if err != nil {
		return err
	}
	kind := name[strings.LastIndexAny(name, ".:")+1:]
	switch kind {
	case "GaussianDistribution":
		d.o.Distribution = "gaussian"
	case "HeteroscedasticGaussianDistribution":
		d.o.Distribution = "heteroscedastic"
	case "BetaDistribution":
		bounds := [2]float64{-1, 1}
		if r, ok := v.get("action_range"); ok {
			if bounds, err = r.pair(); err != nil {
				return err
			}
		} else {
			d.assume("network action_range", "-1 to 1", "rsl_rl's default")
		}
		d.o.Distribution = fmt.Sprintf("beta:%v,%v", bounds[0], bounds[1])
	default:
		return class.wrong(quote(name), oneOf(kind, []string{"GaussianDistribution", "HeteroscedasticGaussianDistribution", "BetaDistribution"}))
	}
	d.note("network distribution", d.o.Distribution, from(class))
	return nil
}
