"""Who a token belongs to, and new tokens for a login."""

from tests.kaggle_server.calls import call
from tests.kaggle_server.world import Problem

REFRESH = "refresh-0123456789abcdef"


@call("security.IntrospectToken", "token")
def introspect(world, request):
    active = world.token_active and not world.faults.expired and request["token"] == world.token
    return {"active": active, "username": world.name if active else ""}


@call("users.GenerateAccessToken", "refreshToken", optional=("apiVersion", "expirationDuration"))
def generate(world, request):
    if request["refreshToken"] != REFRESH:
        raise Problem(401, "the login was revoked")
    world.token = f"renewed{next(world.numbers)}-0123456789abcdef"
    return {"token": world.token, "expiresIn": 43_200}
