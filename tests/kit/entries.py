"""What a manifest lists in tests: a wheel and the weights of one run."""

from kit.manifest import Entry, Wheel

WHEEL = Wheel(
    name="timm",
    version="1.0",
    tags=["py3-none-any"],
    licence="Apache-2.0",
    accepts="==1.0",
    requires={"cp313": ["torch"]},
)


def entries() -> list[Entry]:
    return [
        Entry(file="b.whl", size=2, sha256="11", role="wheel", wheel=WHEEL),
        Entry(file="a.safetensors", size=1, sha256="00", role="weights", run={"fold": 0}),
    ]
