"""Who a token belongs to."""

from tests.kaggle_server.calls import call


@call("security.IntrospectToken", "token")
def introspect(world, request):
    active = world.token_active and request["token"] == world.token
    return {"active": active, "username": world.name if active else ""}
