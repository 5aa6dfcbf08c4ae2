package httpd

type builder struct{}
type hostAddr struct{}
type hostGlob struct{}
type section struct{}
type fastTable struct{}
type mergeCache struct{}
