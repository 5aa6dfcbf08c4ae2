package listen

func init() { sources["reactor"] = func(c Config) (Source, error) { return New(c) } }
