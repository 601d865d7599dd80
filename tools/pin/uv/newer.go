package uv

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"krabby.dev/krabby/tools/layer/wheel/pep440"
	"krabby.dev/krabby/tools/pin/client"
)

// uv passes over a release without a usable wheel in silence, so Newer provokes its explanation. These expressions match it.
var (
	noWheels = regexp.MustCompile(`\b(has|have) no (usable )?wheels\b`)
	hint     = regexp.MustCompile("[Ww]heels are available for `[^`]*` \\(v[^;]*")
	bounds   = regexp.MustCompile(`([A-Za-z0-9._-]+?)((?:,?(?:==|[<>]=?)[^\s,;<>=]+)+)`)
	final    = regexp.MustCompile(`[<>=]([0-9]+(?:\.[0-9]+)*(?:\.post[0-9]+)?)(?:,|$)`)
)

// Newer returns a reason if a newer release than the given one meets the requirements but has no wheel for the target. It returns ""
// if there is no such release. resolved are all releases of the resolution of the request.
func (r *Resolver) Newer(ctx context.Context, request Request, release Release, resolved []Release) (reason string, err error) {
	request.Preferred = nil
	request.Requirements = append(slices.Clone(request.Requirements), release.Project+">"+release.Version)
	for _, other := range resolved {
		if other.Project != release.Project {
			request.Requirements = append(request.Requirements, other.Project+"=="+other.Version)
		}
	}
	explanation, err := r.explain(ctx, request)
	if err != nil || !noWheels.MatchString(explanation) {
		return "", err
	}
	if found := hint.FindString(explanation); found != "" {
		return found, nil
	}
	// The same words explain releases with source distributions only and those that are yanked. A yanked one is taken by its version.
	for _, version := range versionsIn(explanation, release) {
		request.Requirements = []string{release.Project + "==" + version}
		explanation, err := r.explain(ctx, request)
		if err != nil {
			return "", err
		}
		if noWheels.MatchString(explanation) {
			return fmt.Sprintf("%s has no such wheel", version), nil
		}
	}
	return "", nil
}

// explain returns the reason for which uv finds no releases, or "" if it finds some. The cache has the lists of releases, but no
// metadata of unused wheels, so offline uv stops with another reason when it finds a usable wheel.
func (r *Resolver) explain(ctx context.Context, request Request) (string, error) {
	_, err := r.compile(ctx, request, client.Command{Args: []string{"--offline"}})
	if ctx.Err() != nil {
		return "", err
	}
	if err == nil {
		return "", nil
	}
	return err.Error(), nil
}

// versionsIn returns the versions of a project in an explanation that are final and newer than the given release, the newest first.
func versionsIn(explanation string, release Release) []string {
	old, err := pep440.Parse(release.Version)
	if err != nil {
		return nil
	}
	var versions []pep440.Version
	for _, bound := range bounds.FindAllStringSubmatch(explanation, -1) {
		if bound[1] != release.Project {
			continue
		}
		for _, text := range final.FindAllStringSubmatch(bound[2], -1) {
			if v, err := pep440.Parse(text[1]); err == nil && v.Compare(old) > 0 {
				versions = append(versions, v)
			}
		}
	}
	slices.SortFunc(versions, func(a, b pep440.Version) int { return b.Compare(a) })
	var newest []string
	for _, v := range versions {
		newest = append(newest, v.String())
	}
	return slices.Compact(newest)
}
