// The frame of the providers that ask whether a user is in a group, wherever
// the module finds groups: Require group, file-group and their like.
package authzcore

import (
	"errors"

	"modwsgi/gocore/internal/httpd"
)

// GroupProviders are a provider for groups that the Require line names and one
// for the group of the file in the file system. member says whether the user
// is in one of the groups; it is not asked without a user.
func GroupProviders(group, fileGroup string, member func(r *httpd.Request, names []string) Result) []Provider {
	return []Provider{
		{Name: group, Parse: func(k *httpd.Cmd, args []string) (Check, error) {
			if len(args) == 0 {
				return nil, errors.New("needs the name of a group")
			}
			names, err := Words(k, args)
			return func(r *httpd.Request) Result {
				if r.User == "" {
					return DeniedNoUser
				}
				list, err := names(r)
				if err != nil {
					return Failed
				}
				return member(r, list)
			}, err
		}},
		{Name: fileGroup, Parse: func(_ *httpd.Cmd, args []string) (Check, error) {
			if len(args) != 0 {
				return nil, errors.New("takes no arguments")
			}
			return func(r *httpd.Request) Result {
				if r.User == "" {
					return DeniedNoUser
				}
				r.Need(httpd.OnWorker) // names of groups may come from a directory service
				if name, _ := r.Var("SCRIPT_GROUP"); name != "" {
					return member(r, []string{name})
				}
				return Denied
			}, nil
		}},
	}
}
