"""Bodies that are not JSON, for Schemathesis: what it has made up, as bytes. Good ones come from the other peers."""
import schemathesis


@schemathesis.serializer("application/x-protobuf")
def as_bytes(context, value):
    return {"data": value if isinstance(value, bytes) else str(value).encode()}


@schemathesis.deserializer("application/x-protobuf")
def as_text(context, response):
    return response.content.decode("latin-1")
