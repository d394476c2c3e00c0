"""Writes PNGs byte by byte, JPEGs with EXIF and DICOM files, for the tests of their readers."""

import io
import struct
import zlib

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate

ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row, first column, step of rows and of columns of each turn of an interlaced PNG."""
KINDS = {1: 0, 2: 4, 3: 2, 4: 6}
"""Channels -> PNG's number of the colour type."""


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _rows(samples_HWC, bits):
    """Rows with the filter "none" in front of each; samples of less than 8 bits are packed."""
    out = b""
    for row_WC in samples_HWC:
        if bits == 16:
            packed = row_WC.astype(">u2").tobytes()
        elif bits == 8:
            packed = row_WC.astype("u1").tobytes()
        else:
            text = "".join(f"{value:0{bits}b}" for value in row_WC.ravel().tolist())
            text += "0" * (-len(text) % 8)
            packed = int(text, 2).to_bytes(len(text) // 8, "big")
        out += b"\0" + packed
    return out


def png(samples_HWC, bits=8, *, interlaced=False, palette=None, more=(), kind=None):
    """A PNG of samples (H, W, C); with a palette they are numbers of colours (C = 1)."""
    height, width, channels = samples_HWC.shape
    kind = 3 if palette is not None else KINDS[channels] if kind is None else kind
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced))
    if interlaced:
        parts = [samples_HWC[y::dy, x::dx] for y, x, dy, dx in ADAM7]
        raw = b"".join(_rows(part, bits) for part in parts if part.size)
    else:
        raw = _rows(samples_HWC, bits)
    chunks = [chunk(b"IHDR", header)]
    if palette is not None:
        chunks.append(chunk(b"PLTE", np.asarray(palette, np.uint8).tobytes()))
    chunks += [chunk(name, data) for name, data in more]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*chunks, chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND", b"")])


def exif(orientation, order="<"):
    mark = {"<": b"II", ">": b"MM"}[order]
    tag = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(f"{order}HIH", 42, 8, 1) + tag + bytes(4)


def jpeg(image_HWC, *, orientation=None, **options):
    """A JPEG of an image (H, W, 3) or (H, W)."""
    stream = io.BytesIO()
    if orientation is not None:
        options["exif"] = b"Exif\0\0" + exif(orientation)
    Image.fromarray(image_HWC).save(stream, "JPEG", **{"quality": 95, **options})
    return stream.getvalue()


def dicom(samples, *, syntax="1.2.840.10008.1.2.1", encoded=None, bits=None, stored=None, **elements):
    """A DICOM file of samples (H, W) or (H, W, 3); `encoded` are the bytes of one compressed frame."""
    data = pydicom.Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.4"
    data.Rows, data.Columns = samples.shape[:2]
    data.SamplesPerPixel = 3 if samples.ndim == 3 else 1
    if samples.ndim == 3:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = "RGB" if samples.ndim == 3 else "MONOCHROME2"
    data.BitsAllocated = bits or samples.itemsize * 8
    data.BitsStored = stored or data.BitsAllocated
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(samples.dtype.kind == "i")
    for name, value in elements.items():
        setattr(data, name, value)
    big = syntax == "1.2.840.10008.1.2.2"
    raw = samples.astype(samples.dtype.newbyteorder(">" if big else "<")).tobytes()
    data.PixelData = raw + b"\0" * (len(raw) % 2) if encoded is None else encapsulate([encoded])
    data["PixelData"].VR = "OW" if data.BitsAllocated > 8 else "OB"
    stream = io.BytesIO()
    pydicom.dcmwrite(
        stream,
        data,
        enforce_file_format=True,
        implicit_vr=syntax == "1.2.840.10008.1.2",
        little_endian=not big,
    )
    return stream.getvalue()
