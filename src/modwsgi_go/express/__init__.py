"""The `mod_wsgi-express` command: options in, a server root with httpd.conf out.

The way of a command, one module per step:

    main      sub-commands, exit codes
    table     every option as one row: name, kind, default, effect, help
    parser    argv -> the options that were given
    settings  given options -> complete, checked settings
    httpdconf settings -> text of httpd.conf
    scripts   settings -> handler.wsgi, default.wsgi, apachectl, envvars
    layout    writes all of that below the server root
    banner    settings -> the lines on stdout
    serve     runs the server in this very process
    control   the `httpd -k ...` command that apachectl calls

`handler` and `reloader` are the exception: they run in the worker processes,
imported by the generated handler.wsgi.

Nothing is imported here: the command's start-up time is part of the time to
the first response.
"""
