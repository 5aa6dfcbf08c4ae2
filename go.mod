module modwsgi

go 1.26
