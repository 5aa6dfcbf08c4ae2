// Package filter is mod_filter as far as the type of a response chooses its
// filters: AddOutputFilterByType. The smart filters (FilterDeclare and its
// like) are known and without effect.
package filter

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// rule is one AddOutputFilterByType: filters for a media type.
type rule struct {
	media string // lower case, without parameters
	names []string
}

type config struct{ rules []rule }

// Module is mod_filter.
var Module = &httpd.Module[config]{
	Name: "filter", ID: "filter_module", File: "mod_filter.c",
	Directives: []httpd.Directive[config]{
		{Name: "AddOutputFilterByType", Args: "filter[;filter...] media-type ...", Min: 2, Max: -1, In: httpd.Anywhere, Override: httpd.OverrideFileInfo, Set: setByType,
			Doc: "Sends responses of these media types through filters."},
		smart("FilterDeclare", "filter-name [type]", 1, 2, "Declares a smart filter."),
		smart("FilterProvider", "filter-name provider-name expression", 3, 3, "Gives a smart filter a filter to run on a condition."),
		smart("FilterChain", "[+=-@!]filter-name ...", 1, -1, "Puts smart filters into the chain."),
		smart("FilterProtocol", "filter-name [provider-name] flags", 2, 3, "Says what HTTP needs of a smart filter."),
		smart("FilterTrace", "filter-name level", 2, 2, "Traces a smart filter."),
	},
	Merge: func(p, k *config) *config {
		return &config{rules: append(slices.Clone(p.rules), k.rules...)}
	},
	Insert:    insert,
	HasFilter: func(c *config) bool { return len(c.rules) > 0 },
}

func smart(name, args string, min, max int, doc string) httpd.Directive[config] {
	return httpd.Directive[config]{Name: name, Args: args, Min: min, Max: max, In: httpd.Anywhere, Override: httpd.OverrideOptions, NoEffect: true,
		Doc: doc + " Accepted; there are no smart filters.", Set: func(k *httpd.Cmd, _ *config) error {
			k.Notice(httpd.CodeIgnored, "accepted without effect: there are no smart filters; AddOutputFilterByType chooses filters by media type")
			return nil
		}}
}

func setByType(k *httpd.Cmd, c *config) error {
	names, err := k.OutputFilters(k.Arg(0))
	if err != nil {
		return err
	}
	for _, t := range k.Args[1:] {
		if !strings.Contains(t, "/") {
			return fmt.Errorf("%q is not a media type, which has a slash", t)
		}
		c.rules = append(c.rules, rule{strings.ToLower(t), names})
	}
	return nil
}

// insert names the filters for the response's media type. A 304 says no type;
// there the request's counts.
func insert(r *httpd.Request, c *config, h *httpd.ResponseHead) (names []string) {
	media, ok := h.Get("Content-Type")
	if !ok && h.Status == http.StatusNotModified {
		media = r.ContentType
	}
	media, _, _ = strings.Cut(media, ";")
	media = strings.TrimSpace(media)
	if media == "" {
		return nil
	}
	for _, x := range c.rules {
		if strings.EqualFold(x.media, media) {
			names = append(names, x.names...)
		}
	}
	return names
}
