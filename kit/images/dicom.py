"""Read DICOM files: pydicom reads their elements, imagecodecs their compressed pixels.

Grey values are rescaled (modality LUT) before the rule of the definition makes levels of them, so that a rule
for CT is written in Hounsfield units. docs/images.md tells more.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.artefacts import open_to_read
from kit.errors import KitError
from kit.images.any_reading import AnyReading
from kit.images.dicom_header import CODECS, COPY_AGAIN, RAW_SYNTAXES, DicomHeader, read_dicom_header
from kit.images.intensity_rule import require_for
from kit.images.reading import Facts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kit.images.levels import Curve
    from kit.images.whole_image import WholeImage

_SEVERAL = (
    'convert it to one file for each picture; a competition of the kind "values" may take folders of slices: '
    "test = 'test/{id}/*.dcm'"
)


def facts(path: Path, reading: AnyReading) -> Facts:
    """Return size and notes of a file; see `kit.images.image_protocols.Reading.facts`."""
    header = _header(path, reading)
    return Facts(header.height, header.width, _notes(header, reading))


def open_image(path: Path, reading: AnyReading, *, scratch: Path | None = None) -> WholeImage:
    """Decode a file; see `kit.images.image_protocols.Reading.open`."""
    from kit.images.levels import SampleType  # these need numpy
    from kit.images.whole_image import WholeImage, room_for

    header = _header(path, reading)
    data = _data_set(path)
    try:
        samples_HWC, kind = _samples(path, data, header, SampleType)
    except KitError:
        raise
    except Exception as error:  # damaged elements lead to errors of any class
        raise KitError(f"DICOM pixels cannot be decoded: {error}", where=path, fix=COPY_AGAIN) from error
    decoded = room_for(path, samples_HWC.shape, samples_HWC.dtype, scratch=scratch)
    decoded.samples[:] = samples_HWC
    # Colours have 8 bits, or are cut to them: a rule is for grey values.
    rule = reading.intensity if header.grey else None
    if header.grey:  # the header told that there is a window; its numbers may still be none
        require_for(path, rule, bits=header.bits, kind=header.kind, window=kind.window is not None)
    return WholeImage(decoded, kind, rule, inverted=_inverted(header, reading), notes=_notes(header, reading))


def _header(path: Path, reading: AnyReading) -> DicomHeader:
    header = read_dicom_header(path)
    if header.frames != 1:
        raise KitError(f"image has {header.frames} frames", where=path, fix=_SEVERAL)
    if header.grey:
        # 8 bits may be rescaled, too: only a rule tells what becomes of them.
        bits = header.bits if header.kind == "float" else max(header.bits, 16)
        require_for(path, reading.intensity, bits=bits, kind=header.kind, window=header.window)
    return header


def _data_set(path: Path) -> Any:
    try:
        import pydicom
    except ImportError as error:
        raise KitError(
            f"pydicom is needed for DICOM files: {error}", where=path, fix="python -m pip install pydicom"
        ) from error
    try:
        with open_to_read(path) as stream:
            return pydicom.dcmread(io.BytesIO(stream.read()), force=True)
    except Exception as error:  # damaged elements lead to errors of any class
        raise KitError(f"DICOM file cannot be read: {error}", where=path, fix=COPY_AGAIN) from error


def _samples(path: Path, data: Any, header: DicomHeader, sample_type: Any) -> tuple[NDArray[Any], Any]:
    """Return the samples (rows, columns, 1 or 3) and what they are."""
    import numpy as np

    pixels = _stored(path, data, header)
    if not header.grey:
        return _colours(data, header, pixels), sample_type(bits=8)
    values_HWC = pixels.reshape(header.height, header.width, 1)
    if header.kind == "float":
        return values_HWC, sample_type(bits=header.bits, kind="float", window=_window(data))
    # The upper bits of 16 may hold anything where 12 are stored: cut them off, with the sign of the 12.
    spare = header.bits - header.stored
    values_HWC = np.ascontiguousarray(values_HWC << spare >> spare if spare else values_HWC)
    table = data.get("ModalityLUTSequence")
    if table:
        from pydicom.pixels.processing import apply_modality_lut

        looked_up = np.asarray(apply_modality_lut(values_HWC, data), np.float64)
        return looked_up, sample_type(bits=64, kind="float", window=_window(data))
    return values_HWC, sample_type(
        bits=header.bits,
        kind=header.kind,
        significant=header.stored,
        offset=float(data.get("RescaleIntercept") or 0),
        slope=float(1 if data.get("RescaleSlope") is None else data.RescaleSlope),
        window=_window(data),
    )


def _stored(path: Path, data: Any, header: DicomHeader) -> NDArray[Any]:
    """Return the stored samples, of any shape of the right size."""
    import numpy as np

    if header.syntax in RAW_SYNTAXES or not CODECS[header.syntax][1]:
        if "TransferSyntaxUID" not in data.file_meta:  # a file without the part that tells it
            data.file_meta.TransferSyntaxUID = header.syntax
        pixels: NDArray[Any] = data.pixel_array
        return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    from pydicom.encaps import generate_frames

    name, function = CODECS[header.syntax]
    try:
        import imagecodecs
    except ImportError as error:
        raise KitError(
            f"imagecodecs is needed for {name} in DICOM files: {error}",
            where=path,
            fix="python -m pip install imagecodecs",
        ) from error
    frame = next(generate_frames(data.PixelData, number_of_frames=1))
    _require_size(header, frame)
    more = {"outcolorspace": "rgb"} if function == "jpeg8_decode" and header.samples == 3 else {}
    pixels = np.asarray(getattr(imagecodecs, function)(frame, **more))
    if pixels.size != header.height * header.width * header.samples:
        raise ValueError(f"it holds {pixels.size} samples instead of {header.height} x {header.width}")
    if pixels.dtype.itemsize > header.bits // 8:
        raise ValueError(f"it holds samples of {8 * pixels.dtype.itemsize} bits instead of {header.bits}")
    signed = header.kind == "int"
    return pixels.astype(f"u{header.bits // 8}").view(f"{'i' if signed else 'u'}{header.bits // 8}")


def _require_size(header: DicomHeader, frame: bytes) -> None:
    """Refuse a frame that tells another size, before its decoder asks for memory."""
    from kit.images.codec_headers import jpeg2000_shape, jpeg_shape

    claimed = jpeg2000_shape(frame) if frame[:2] != b"\xff\xd8" else jpeg_shape(frame)
    if claimed is not None and math.prod(claimed[:2]) != header.height * header.width:
        raise ValueError(f"it holds {claimed[0]} x {claimed[1]} pixels")


def _colours(data: Any, header: DicomHeader, pixels: NDArray[Any]) -> NDArray[np.uint8]:
    import numpy as np

    if header.colours == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut

        looked_up = apply_color_lut(pixels.reshape(header.height, header.width), data)
        return np.asarray(looked_up >> 8 if looked_up.dtype.itemsize == 2 else looked_up, np.uint8)
    samples_HWC = pixels.reshape(header.height, header.width, 3)
    if header.stored > 8:
        samples_HWC = samples_HWC >> (header.stored - 8)
    # All decoders make RGB of YCbCr themselves; so does pydicom of raw pixels and run lengths.
    return np.asarray(samples_HWC, np.uint8)


def _window(data: Any) -> Curve | None:
    """Return the file's own window (PS3.3, C.11.2), the first if it has several."""
    import numpy as np

    centre, width = (_first(data.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is not None and width is not None and width > 0:
        function = str(data.get("VOILUTFunction") or "LINEAR")
        if function == "SIGMOID":
            return lambda values: 1 / (1 + np.exp(-4 * (values - centre) / width))
        if function == "LINEAR_EXACT":
            return lambda values: (values - centre) / width + 0.5
        return lambda values: (values - (centre - 0.5)) / max(width - 1, 1e-9) + 0.5
    table = data.get("VOILUTSequence")
    if not table:
        return None
    from pydicom.pixels.processing import apply_voi

    bits = int(table[0].LUTDescriptor[2])
    return lambda values: apply_voi(values.astype(np.int64), data) / (2.0**bits - 1)


def _first(value: Any) -> float | None:
    """Return the first of one number or several."""
    if value is None or value == "":
        return None
    return float(value if isinstance(value, int | float | str) else value[0])


def _inverted(header: DicomHeader, reading: AnyReading) -> bool:
    return header.colours == "MONOCHROME1" and reading.white_is_zero == "inverted"


def _notes(header: DicomHeader, reading: AnyReading) -> tuple[str, ...]:
    notes = []
    if header.grey:
        notes.append("it is grey: red, green and blue are the same")
    if header.colours == "MONOCHROME1":
        done = "it is inverted" if _inverted(header, reading) else "it stays as stored"
        notes.append(f"its 0 is white (MONOCHROME1): {done}")
    if not header.grey and header.stored > 8:
        notes.append(f"the upper 8 of its {header.stored} bits are taken")
    return tuple(notes)
