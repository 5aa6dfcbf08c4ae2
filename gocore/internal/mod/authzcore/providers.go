// This file has the providers that mod_authz_core itself brings: all, env, expr
// and method.

package authzcore

import (
	"errors"
	"fmt"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

var builtin = []Provider{
	{Name: "all", Parse: parseAll},
	{Name: "env", Parse: parseEnv},
	{Name: "expr", Parse: parseExpr},
	{Name: "method", Parse: parseMethod},
}

// Words reads the arguments of a Require line that may hold %{...}: the result
// gives them for a request.
func Words(k *httpd.Cmd, args []string) (func(r *httpd.Request) ([]string, error), error) {
	exprs := make([]*httpd.StringExpr, len(args))
	constant := true
	for i, a := range args {
		if !strings.Contains(a, "%{") {
			continue
		}
		e, err := k.StringExpr(a)
		if err != nil {
			return nil, err
		}
		exprs[i], constant = e, false
	}
	if constant {
		return func(*httpd.Request) ([]string, error) { return args, nil }, nil
	}
	return func(r *httpd.Request) ([]string, error) {
		var out []string
		for i, a := range args {
			if exprs[i] == nil {
				out = append(out, a)
				continue
			}
			v, err := exprs[i].Eval(r)
			if err != nil {
				return nil, err
			}
			out = append(out, strings.Fields(v)...)
		}
		return out, nil
	}, nil
}

func parseAll(_ *httpd.Cmd, args []string) (Check, error) {
	if len(args) == 1 {
		switch strings.ToLower(args[0]) {
		case "granted":
			return func(*httpd.Request) Result { return Granted }, nil
		case "denied":
			return func(*httpd.Request) Result { return Denied }, nil
		}
	}
	return nil, errors.New("needs granted or denied")
}

// parseEnv: granted if one of the variables is set at this time, by SetEnvIf or
// RewriteRule; SetEnv comes later.
func parseEnv(_ *httpd.Cmd, args []string) (Check, error) {
	if len(args) == 0 {
		return nil, errors.New("needs the name of a variable")
	}
	return func(r *httpd.Request) Result {
		for _, name := range args {
			if _, ok := r.Env(name); ok {
				return Granted
			}
		}
		return Denied
	}, nil
}

func parseMethod(_ *httpd.Cmd, args []string) (Check, error) {
	if len(args) == 0 {
		return nil, errors.New("needs the name of a method")
	}
	for _, m := range args {
		if m != strings.ToUpper(m) {
			return nil, fmt.Errorf("method names are upper case: %q", m)
		}
		if m == "TRACE" {
			return nil, errors.New("TRACE cannot be controlled here; use TraceEnable")
		}
	}
	return func(r *httpd.Request) Result {
		method := r.Method
		if method == "HEAD" {
			method = "GET"
		}
		for _, m := range args {
			if m == method || m == r.Method {
				return Granted
			}
		}
		return Denied
	}, nil
}

// parseExpr reads a condition, in quotes or as the rest of the line. One that
// speaks of the user cannot be false for good before there is one.
func parseExpr(k *httpd.Cmd, args []string) (Check, error) {
	text := strings.TrimSpace(k.Raw)
	for _, w := range []string{"not", "expr"} {
		if i := strings.IndexAny(text, " \t"); i > 0 && strings.EqualFold(text[:i], w) {
			text = strings.TrimSpace(text[i:])
		}
	}
	if len(args) == 1 {
		text = args[0]
	}
	if text == "" || len(args) == 0 {
		return nil, errors.New("needs an expression")
	}
	e, err := k.Expr(text)
	if err != nil {
		return nil, err
	}
	e = e.Vary()
	ofUser := e.Uses("REMOTE_USER")
	return func(r *httpd.Request) Result {
		switch ok, err := e.True(r); {
		case err != nil:
			logf(r, "AH02561: evaluating the expression of Require expr: %v", err)
			return Failed
		case ok:
			return Granted
		case ofUser && r.User == "":
			return DeniedNoUser
		}
		return Denied
	}, nil
}
