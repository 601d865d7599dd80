package starlark

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/bazelbuild/buildtools/build"
)

// rule renders a call of rule or repository_rule.
func (m *module) rule(call *build.CallExpr) (string, error) {
	doc := m.text(argument(call, "doc"))
	if doc == "" {
		return "", fmt.Errorf("no docstring")
	}
	table, err := m.attributes(argument(call, "attrs"))
	if err != nil {
		return "", err
	}
	name := "| `name` | name | required | Unique name of the target. |\n"
	return dedent(doc) + "\n\n" + tableHead("attribute", "type") + name + table, nil
}

// extension renders a module extension with its tag classes.
func (m *module) extension(symbol string, call *build.CallExpr) (string, error) {
	doc := m.text(argument(call, "doc"))
	if doc == "" {
		return "", fmt.Errorf("no docstring")
	}
	out := dedent(doc) + "\n"
	tags, _ := argument(call, "tag_classes").(*build.DictExpr)
	if tags == nil {
		return out, nil
	}
	for _, entry := range tags.List {
		tag, ok := m.value(entry.Value).(*build.CallExpr)
		if !ok {
			return "", fmt.Errorf("tag class %s: not a call of tag_class", build.FormatString(entry.Key))
		}
		doc := m.text(argument(tag, "doc"))
		if doc == "" {
			return "", fmt.Errorf("tag class %s: no docstring", build.FormatString(entry.Key))
		}
		table, err := m.attributes(argument(tag, "attrs"))
		if err != nil {
			return "", err
		}
		out += fmt.Sprintf("\n### %s.%s\n\n%s\n\n%s", symbol, m.text(entry.Key), dedent(doc), tableHead("attribute", "type")+table)
	}
	return out, nil
}

// attributes renders the rows of public attributes.
func (m *module) attributes(expr build.Expr) (string, error) {
	if expr == nil {
		return "", nil
	}
	dict, ok := m.value(expr).(*build.DictExpr)
	if !ok {
		return "", fmt.Errorf("attrs: not a dict")
	}
	var out strings.Builder
	for _, entry := range dict.List {
		name := m.text(entry.Key)
		if strings.HasPrefix(name, "_") {
			continue
		}
		call, ok := entry.Value.(*build.CallExpr)
		if !ok {
			return "", fmt.Errorf("attribute %s: not a call of attr", name)
		}
		doc := m.text(argument(call, "doc"))
		if doc == "" {
			return "", fmt.Errorf("attribute %s: no docstring", name)
		}
		kind := strings.TrimPrefix(build.FormatString(call.X), "attr.")
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", name, strings.ReplaceAll(kind, "_", " "), m.fallback(kind, call), cell(doc+m.values(call)))
	}
	return out.String(), nil
}

// fallback returns the default of an attribute.
func (m *module) fallback(kind string, call *build.CallExpr) string {
	if mandatory := argument(call, "mandatory"); mandatory != nil && build.FormatString(mandatory) == "True" {
		return "required"
	}
	if value := argument(call, "default"); value != nil {
		return "`" + strings.Join(strings.Fields(build.FormatString(m.value(value))), " ") + "`"
	}
	switch {
	case kind == "bool":
		return "`False`"
	case kind == "int":
		return "`0`"
	case kind == "label":
		return "`None`"
	case kind == "string":
		return "`\"\"`"
	case strings.HasSuffix(kind, "dict"):
		return "`{}`"
	}
	return "`[]`"
}

// values returns a sentence with the allowed values of an attribute, if they are limited.
func (m *module) values(call *build.CallExpr) string {
	list, ok := m.value(argument(call, "values")).(*build.ListExpr)
	if !ok {
		return ""
	}
	var values []string
	for _, value := range list.List {
		values = append(values, "`"+build.FormatString(value)+"`")
	}
	return " Allowed: " + strings.Join(values, ", ") + "."
}

var argumentLine = regexp.MustCompile(`^(\*{0,2}\w+): ?(.*)$`)

// function renders a macro with its arguments.
func (m *module) function(def *build.DefStmt) (string, error) {
	doc := docstring(def.Body)
	if doc == "" {
		return "", fmt.Errorf("no docstring")
	}
	text, args, returns := sections(doc)
	out := text + "\n"
	var rows strings.Builder
	for _, param := range def.Params {
		name, fallback := parameter(param)
		doc, ok := args[name]
		if !ok {
			return "", fmt.Errorf("argument %s: not described in Args", name)
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s |\n", name, fallback, cell(doc))
	}
	if rows.Len() > 0 {
		out += "\n| argument | default | description |\n|---|---|---|\n" + rows.String()
	}
	if returns != "" {
		out += "\nReturns " + returns + "\n"
	}
	return out, nil
}

// parameter returns the name of a parameter and its default.
func parameter(param build.Expr) (name, fallback string) {
	switch p := param.(type) {
	case *build.AssignExpr:
		return build.FormatString(p.LHS), "`" + strings.Join(strings.Fields(build.FormatString(p.RHS)), " ") + "`"
	case *build.UnaryExpr:
		return build.FormatString(p), ""
	}
	return build.FormatString(param), "required"
}

// sections splits a docstring into its text, the entries of Args and the text of Returns.
func sections(doc string) (text string, args map[string]string, returns string) {
	args = map[string]string{}
	section, last := "", ""
	var lines []string
	for _, line := range strings.Split(doc, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case line == "Args:" || line == "Returns:":
			section, last = line, ""
		case section == "":
			lines = append(lines, line)
		case section == "Returns:":
			returns = strings.TrimSpace(returns + " " + trimmed)
		case trimmed == "":
		default:
			if match := argumentLine.FindStringSubmatch(trimmed); match != nil {
				last = match[1]
				args[last] = match[2]
			} else if last != "" {
				args[last] += " " + trimmed
			}
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n")), args, strings.ToLower(returns[:min(1, len(returns))]) + returns[min(1, len(returns)):]
}

// argument returns a keyword argument of a call, or nil.
func argument(call *build.CallExpr, name string) build.Expr {
	for _, arg := range call.List {
		if assign, ok := arg.(*build.AssignExpr); ok && build.FormatString(assign.LHS) == name {
			return assign.RHS
		}
	}
	return nil
}

// value resolves names and merges dicts.
func (m *module) value(expr build.Expr) build.Expr {
	switch e := expr.(type) {
	case *build.Ident:
		if home, name, err := m.resolve(e.Name); err == nil && home.globals[name] != nil {
			return home.value(home.globals[name])
		}
	case *build.BinaryExpr:
		x, okX := m.value(e.X).(*build.DictExpr)
		y, okY := m.value(e.Y).(*build.DictExpr)
		if e.Op == "|" && okX && okY {
			return &build.DictExpr{List: append(append([]*build.KeyValueExpr{}, x.List...), y.List...)}
		}
	}
	return expr
}

// text evaluates a string expression; it is empty for nil and for other expressions.
func (m *module) text(expr build.Expr) string {
	switch e := m.value(expr).(type) {
	case *build.StringExpr:
		return e.Value
	case *build.BinaryExpr:
		if e.Op == "+" {
			return m.text(e.X) + m.text(e.Y)
		}
	case *build.CallExpr:
		dot, ok := e.X.(*build.DotExpr)
		if !ok || dot.Name != "format" {
			return ""
		}
		text := m.text(dot.X)
		for _, arg := range e.List {
			if assign, ok := arg.(*build.AssignExpr); ok {
				text = strings.ReplaceAll(text, "{"+build.FormatString(assign.LHS)+"}", m.text(assign.RHS))
			} else {
				text = strings.Replace(text, "{}", m.text(arg), 1)
			}
		}
		return text
	case *build.ParenExpr:
		return m.text(e.X)
	}
	return ""
}

func tableHead(first, second string) string {
	return fmt.Sprintf("| %s | %s | default | description |\n|---|---|---|---|\n", first, second)
}

// cell makes a text fit into a cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
