package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"

	"krabby.dev/rules_oci/internal/push"
	"krabby.dev/rules_oci/internal/registry"
)

type pushCmd struct {
	Params     string   `required:"" placeholder:"FILE" help:"JSON that describes what to push, as oci_push writes it."`
	Runfiles   string   `placeholder:"DIR" help:"Directory that the paths in the parameters are relative to."`
	Repository string   `short:"r" placeholder:"REPOSITORY" help:"Push there rather than where the target says."`
	Tag        []string `short:"t" placeholder:"TAG" help:"Another tag to put on what was pushed; may be given more than once."`
}

// Validate refuses flags that no registry would take, so that they count as a wrong call.
func (c *pushCmd) Validate() error {
	if c.Repository != "" {
		if _, err := repository(c.Repository); err != nil {
			return fmt.Errorf("--repository: %w", err)
		}
	}
	for _, tag := range c.Tag {
		if _, err := name.NewTag("registry.example/any:"+tag, name.StrictValidation); err != nil {
			return fmt.Errorf("--tag %q: %w", tag, err)
		}
	}
	return nil
}

func repository(where string) (name.Repository, error) {
	repo, err := name.NewRepository(where)
	if err != nil {
		return repo, fmt.Errorf("repository %q: %w; write it as registry.example/path, without tag", where, err)
	}
	return repo, nil
}

// Run pushes, and prints the reference of what the registry has then.
func (c *pushCmd) Run(ctx context.Context, std streams) error {
	var p pushParams
	if err := readParams(c.Params, &p); err != nil {
		return err
	}
	if err := c.push(ctx, &p, std); err != nil {
		return fmt.Errorf("%s: %w", p.Label, err)
	}
	return nil
}

func (c *pushCmd) push(ctx context.Context, p *pushParams, std streams) error {
	resolveFile(c.Runfiles, p.Repository, p.RemoteTags)
	where, err := p.Repository.one()
	if err != nil {
		return fmt.Errorf("attribute repository: %w", err)
	}
	if c.Repository != "" {
		where = c.Repository
	}
	if where == "" {
		return errors.New("no repository: give the target the attribute repository, or me --repository")
	}
	repo, err := repository(where)
	if err != nil {
		return err
	}
	tags, err := p.RemoteTags.read()
	if err != nil {
		return fmt.Errorf("attribute remote_tags: %w", err)
	}
	client := registry.New(registry.WithLog(std.err))
	artifact, err := open(ctx, resolve(c.Runfiles, p.Image), client)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	digest, err := push.Push(ctx, client, artifact, repo, append(tags, c.Tag...))
	if err != nil {
		return err
	}
	fmt.Fprintln(std.out, digest)
	return nil
}
