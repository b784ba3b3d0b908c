"""For Schemathesis: bodies that are not JSON (what it has made up, as bytes; good ones come from the other peers), and what would end
its own asking."""
import schemathesis


@schemathesis.serializer("application/x-protobuf")
def as_bytes(context, value):
    return {"data": value if isinstance(value, bytes) else str(value).encode()}


@schemathesis.deserializer("application/x-protobuf")
def as_text(context, response):
    return response.content.decode("latin-1")


# What would end one's own session: ids that answers have told are asked for, too.
ENDS = {
    ("DELETE", "/v1/session"),
    ("DELETE", "/v1/me/sessions/{session_id}"),
    ("PATCH", "/v1/users/{user_id}"),
    ("POST", "/v1/users/{user_id}/password"),
}


def without_credential(request):
    request.headers.pop("Authorization", None)
    return request


@schemathesis.hook
def before_call(context, case, kwargs):
    """Whoever is signed out asks nothing any more, so that is asked without the credential, which the caller's settings add later."""
    if (case.method.upper(), case.path) in ENDS:
        kwargs["auth"] = without_credential
