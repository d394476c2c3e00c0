"""The protocol's messages, described in code: no compiler of .proto files is needed."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "kaggle_evaluation_client"
METHOD = f"/{PACKAGE}.KaggleEvaluationService/Send"
_KIND = descriptor_pb2.FieldDescriptorProto
_VALUES = {
    "str_value": (1, _KIND.TYPE_STRING, None),
    "bool_value": (2, _KIND.TYPE_BOOL, None),
    "int_value": (3, _KIND.TYPE_SINT64, None),
    "float_value": (4, _KIND.TYPE_FLOAT, None),
    "none_value": (5, _KIND.TYPE_BOOL, None),
    "list_value": (6, _KIND.TYPE_MESSAGE, "PayloadList"),
    "tuple_value": (7, _KIND.TYPE_MESSAGE, "PayloadList"),
    "dict_value": (8, _KIND.TYPE_MESSAGE, "PayloadMap"),
    "pandas_dataframe_value": (9, _KIND.TYPE_BYTES, None),
    "pandas_series_value": (11, _KIND.TYPE_BYTES, None),
    "bytes_io_value": (15, _KIND.TYPE_BYTES, None),
}


def _field(message, name, number, kind, of=None, *, repeated=False):
    label = _KIND.LABEL_REPEATED if repeated else _KIND.LABEL_OPTIONAL
    field = message.field.add(name=name, number=number, type=kind, label=label)
    if of is not None:
        field.type_name = f".{PACKAGE}.{of}"
    return field


def _map(message, name, number):
    """A field of the type map<string, Payload>, which on the wire is a list of pairs."""
    entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
    entry.options.map_entry = True
    _field(entry, "key", 1, _KIND.TYPE_STRING)
    _field(entry, "value", 2, _KIND.TYPE_MESSAGE, "Payload")
    _field(message, name, number, _KIND.TYPE_MESSAGE, f"{message.name}.{entry.name}", repeated=True)


def _file():
    file = descriptor_pb2.FileDescriptorProto(name="relay.proto", package=PACKAGE, syntax="proto3")
    payload = file.message_type.add(name="Payload")
    payload.oneof_decl.add(name="value")
    for name, (number, kind, of) in _VALUES.items():
        _field(payload, name, number, kind, of).oneof_index = 0
    _field(
        file.message_type.add(name="PayloadList"),
        "payloads",
        1,
        _KIND.TYPE_MESSAGE,
        "Payload",
        repeated=True,
    )
    _map(file.message_type.add(name="PayloadMap"), "payload_map", 1)
    request = file.message_type.add(name="KaggleEvaluationRequest")
    _field(request, "name", 1, _KIND.TYPE_STRING)
    _field(request, "args", 2, _KIND.TYPE_MESSAGE, "Payload", repeated=True)
    _map(request, "kwargs", 3)
    response = file.message_type.add(name="KaggleEvaluationResponse")
    _field(response, "payload", 1, _KIND.TYPE_MESSAGE, "Payload")
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())


def _class(name):
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


Payload = _class("Payload")
PayloadList = _class("PayloadList")
PayloadMap = _class("PayloadMap")
Request = _class("KaggleEvaluationRequest")
Response = _class("KaggleEvaluationResponse")
