"""URLs of the Django test project."""

from django.urls import path
from shop import views

urlpatterns = [
    path("", views.index, name="index"),
    path("items/<int:number>/", views.item, name="item"),
    path("token/", views.token),
    path("cart/", views.cart),
    path("upload/", views.upload),
    path("stream/", views.stream),
    path("download/", views.download),
    path("fail/", views.fail),
    path("echo/", views.echo),
]
