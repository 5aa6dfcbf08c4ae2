"""Django's management commands of `modwsgi_go.express`, where Django looks for them."""
