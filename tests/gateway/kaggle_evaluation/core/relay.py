"""Client and server: Python values over gRPC."""

import io
import json
import time
from concurrent import futures

import grpc
import pandas as pd
from kaggle_evaluation.core.messages import METHOD, Payload, PayloadList, PayloadMap, Request, Response

PORTS = [50051, *(60053 + 10 * number for number in range(10))]
STARTUP_SECONDS = 15 * 60
_RETRIES = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 1,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.service_config", json.dumps(_RETRIES)),
    ("grpc.so_reuseport", 0),  # tests run side by side: each server needs a port of its own
]


def _parquet(frame):
    stream = io.BytesIO()
    frame.to_parquet(stream, index=False, compression="lz4")
    return stream.getvalue()


def _list(values):
    return PayloadList(payloads=map(to_payload, values))


def _map(values):
    return PayloadMap(payload_map={key: to_payload(value) for key, value in values.items()})


def _read(data):
    return pd.read_parquet(io.BytesIO(data))


# type -> field of the message, how a value gets into it, and how it gets out again. A bool is an int, too.
_KINDS = {
    bool: ("bool_value", bool, bool),
    str: ("str_value", str, str),
    int: ("int_value", int, int),
    float: ("float_value", float, float),
    type(None): ("none_value", lambda _: True, lambda _: None),
    list: ("list_value", _list, lambda found: [to_value(item) for item in found.payloads]),
    tuple: ("tuple_value", _list, lambda found: tuple(to_value(item) for item in found.payloads)),
    dict: ("dict_value", _map, lambda found: {key: to_value(v) for key, v in found.payload_map.items()}),
    pd.DataFrame: ("pandas_dataframe_value", _parquet, _read),
    pd.Series: (
        "pandas_series_value",
        lambda series: _parquet(series.to_frame()),
        lambda data: _read(data).iloc[:, 0],
    ),
    io.BytesIO: ("bytes_io_value", io.BytesIO.getvalue, io.BytesIO),
}


def to_payload(value):
    """A value as a message; as in the real one, a type that it does not know is an error."""
    for kind, (field, into, _) in _KINDS.items():
        if isinstance(value, kind):
            return Payload(**{field: into(value)})
    raise TypeError(f"{type(value)} is not supported")


def to_value(payload):
    """The value in a message."""
    name = payload.WhichOneof("value")
    out = next(out for field, _, out in _KINDS.values() if field == name)
    return out(getattr(payload, name))


class Client:
    """The gateway's side of the connection; `deadline` holds for all calls but the first."""

    def __init__(self, port, address="localhost"):
        self.deadline = 3600.0
        self._target = f"{address}:{port}"
        self._connected = False
        self._open()

    def _open(self):
        self.channel = grpc.insecure_channel(self._target, options=_OPTIONS)
        self._send = self.channel.unary_unary(
            METHOD,
            request_serializer=Request.SerializeToString,
            response_deserializer=Response.FromString,
        )

    def begin(self, name, *values, timeout=None):
        """Send a call without waiting; returns gRPC's future of it."""
        request = Request(name=name, args=map(to_payload, values))
        return self._send.future(request, timeout=timeout, wait_for_ready=False)

    def send(self, name, *values):
        """Send a call and return its answer; the first one waits until the server is up."""
        if self._connected:
            return to_value(self.begin(name, *values, timeout=self.deadline).result().payload)
        until = time.monotonic() + STARTUP_SECONDS
        while True:
            try:
                answer = to_value(self.begin(name, *values).result().payload)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() > until:
                    raise
                self.close()
                time.sleep(0.1)
                self._open()
            else:
                self._connected = True
                return answer

    def close(self):
        """Close the connection."""
        self.channel.close()


def define_server(*functions):
    """A server with one thread, and its port; the gateway knows the functions by their names."""
    known = {function.__name__: function for function in functions}

    def answer(request, context):
        del context
        named = {key: to_value(value) for key, value in request.kwargs.items()}
        return Response(payload=to_payload(known[request.name](*map(to_value, request.args), **named)))

    handler = grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=Request.FromString, response_serializer=Response.SerializeToString
    )
    service, method = METHOD[1:].split("/")
    for port in PORTS:
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), options=_OPTIONS)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {method: handler})])
        try:
            if server.add_insecure_port(f"[::]:{port}"):
                return server, port
        except RuntimeError:  # another server has it
            continue
    raise ValueError("no port is free")
