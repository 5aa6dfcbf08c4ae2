// This file reads IndexOptions and keeps its rules of inheritance: options with
// a sign change what is inherited, options without replace it.

package autoindex

import (
	"fmt"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

type flags uint32

const (
	fancy flags = 1 << iota
	htmlTable
	foldersFirst
	iconsAreLinks
	ignoreCase
	ignoreClient
	scanTitles
	showForbidden
	noSorting
	noDescription
	noPreamble
	noIcon
	noModified
	noRules
	noSize
	trackModified
	oldDates
	versionSort
	xhtml
	altClass
)

var flagNames = map[string]flags{
	"fancyindexing": fancy, "htmltable": htmlTable, "foldersfirst": foldersFirst, "iconsarelinks": iconsAreLinks,
	"ignorecase": ignoreCase, "ignoreclient": ignoreClient, "scanhtmltitles": scanTitles, "showforbidden": showForbidden,
	"suppresscolumnsorting": noSorting, "suppressdescription": noDescription, "suppresshtmlpreamble": noPreamble,
	"suppressicon": noIcon, "suppresslastmodified": noModified, "suppressrules": noRules, "suppresssize": noSize,
	"trackmodified": trackModified, "useolddateformat": oldDates, "versionsort": versionSort, "xhtml": xhtml, "addaltclass": altClass,
}

// options is IndexOptions of one scope. Widths and sizes: 0 not given, -1 as
// wide as the longest name.
type options struct {
	set, add, remove              flags
	given                         bool // words without a sign: set replaces
	iconWidth, iconHeight         int
	nameWidth, descriptionWidth   int
	charset, mediaType            httpd.Opt[string]
	noName, noDescriptionW, reset bool // "-NameWidth", "-DescriptionWidth" and None take the inherited away
}

const (
	defaultIconSize         = 20 // of IconWidth and IconHeight without a value, pixels
	defaultNameWidth        = 23 // characters
	defaultDescriptionWidth = 23
)

func setOptions(k *httpd.Cmd, c *Config) error {
	o := &c.options
	for _, w := range k.Args {
		sign := byte(0)
		if w != "" && (w[0] == '+' || w[0] == '-') {
			sign, w = w[0], w[1:]
		}
		name, value, has := strings.Cut(w, "=")
		name = strings.ToLower(name)
		size := func(to *int, def int, star bool) error {
			switch n, err := strconv.Atoi(value); {
			case !has:
				*to = def
			case star && value == "*":
				*to = -1
			case err != nil || n < 1 || n > 1<<16:
				return fmt.Errorf("%s: %q is not a size", name, value)
			default:
				*to = n
			}
			return nil
		}
		var err error
		bit, ok := flagNames[name]
		switch {
		case ok && !has:
			switch sign {
			case '+':
				o.add |= bit
				o.remove &^= bit
			case '-':
				o.add &^= bit
				o.remove |= bit
			default:
				o.set |= bit
				o.given = true
			}
		case name == "none" && !has:
			if sign != 0 {
				return fmt.Errorf("None takes no sign")
			}
			*o = options{given: true, reset: true}
		case name == "iconheight":
			err = size(&o.iconHeight, defaultIconSize, false)
		case name == "iconwidth":
			err = size(&o.iconWidth, defaultIconSize, false)
		case name == "namewidth" && sign == '-' && !has:
			o.noName, o.nameWidth = true, 0
		case name == "namewidth" && has:
			err = size(&o.nameWidth, 0, true)
		case name == "descriptionwidth" && sign == '-' && !has:
			o.noDescriptionW, o.descriptionWidth = true, 0
		case name == "descriptionwidth" && has:
			err = size(&o.descriptionWidth, 0, true)
		case name == "charset" && value != "":
			o.charset = httpd.Some(value)
		case name == "type" && value != "":
			o.mediaType = httpd.Some(value)
		default:
			return fmt.Errorf("unknown option %q", w)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// over merges a scope into the enclosing one.
func (o options) over(child options) options {
	m := o
	switch {
	case child.given || child.reset:
		m.given, m.reset = true, child.reset
		m.set, m.add, m.remove = child.set, child.add, child.remove
	default:
		m.add = o.add&^child.remove | child.add
		m.remove = o.remove&^child.add | child.remove
	}
	width := func(to *int, value int, none bool) {
		switch {
		case value != 0:
			*to = value
		case none || child.reset:
			*to = 0
		}
	}
	width(&m.iconWidth, child.iconWidth, false)
	width(&m.iconHeight, child.iconHeight, false)
	width(&m.nameWidth, child.nameWidth, child.noName)
	width(&m.descriptionWidth, child.descriptionWidth, child.noDescriptionW)
	m.charset, m.mediaType = o.charset.Over(child.charset), o.mediaType.Over(child.mediaType)
	return m
}

// flags are the effective ones.
func (o options) flags() flags {
	f := (o.set | o.add) &^ o.remove
	if f&htmlTable != 0 {
		f |= fancy
	}
	return f
}
