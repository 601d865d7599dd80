package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"

	"krabby.dev/rules_oci/internal/push"
)

type pushCmd struct {
	Params     string   `required:"" placeholder:"FILE" help:"JSON description of the push, written by oci_push."`
	Runfiles   string   `placeholder:"DIR" help:"Directory of the paths in the parameters."`
	Repository string   `short:"r" placeholder:"REPOSITORY" help:"Push to this repository instead of that of the target."`
	Tag        []string `short:"t" placeholder:"TAG" help:"Additional tag. May be repeated."`
	registryFlags
}

// Validate rejects invalid names.
func (c *pushCmd) Validate() error {
	if c.Repository != "" {
		if err := checkRepository(c.Repository); err != nil {
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

func checkRepository(repository string) error {
	if _, err := name.NewRepository(repository); err != nil {
		return fmt.Errorf("repository %q: %w; expected registry.example/path, without tag", repository, err)
	}
	return nil
}

// Run pushes, and prints the reference by digest.
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
	repository, err := p.Repository.one()
	if err != nil {
		return fmt.Errorf("attribute repository: %w", err)
	}
	if c.Repository != "" {
		repository = c.Repository
	}
	if repository == "" {
		return errors.New("missing repository: set the attribute repository of the target, or --repository")
	}
	if err := checkRepository(repository); err != nil {
		return err
	}
	tags, err := p.RemoteTags.read()
	if err != nil {
		return fmt.Errorf("attribute remote_tags: %w", err)
	}
	client, err := c.client(std)
	if err != nil {
		return err
	}
	if c.Insecure || p.Insecure {
		client.AllowInsecure(repository)
	}
	repo, err := client.Repository(ctx, repository)
	if err != nil {
		return err
	}
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
