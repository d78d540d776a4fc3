"""Files made to take all memory, all time or the process that reads them.

`FILES` has their contents by name; what is before the colon says how each is read.
"""

import gzip
import io
import struct
import tarfile
import zlib

import numpy as np

ZEROS = 64 << 20


def deflated_zeros(wbits, head, blocks):
    "head and then blocks * 64 MB of zeros, in about 64 KB each"
    compressor = zlib.compressobj(9, zlib.DEFLATED, wbits)
    first = compressor.compress(head) + compressor.flush(zlib.Z_FULL_FLUSH)
    block = compressor.compress(bytes(ZEROS)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return first + block * blocks + compressor.flush()


def npy_header(shape, descr="|u1"):
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def zip_bytes(*members):
    "(name, method, data, size, flags) each, with whatever sizes are given"
    out, directory = b"", b""
    for name, method, data, size, flags in members:
        common = struct.pack(
            "<HHHHHIIIHH", 20, flags, method, 0, 0, zlib.crc32(data), len(data), size, len(name), 0
        )
        directory += b"PK\1\2" + struct.pack("<H", 20) + common
        directory += struct.pack("<HHHII", 0, 0, 0, 0, len(out)) + name
        out += b"PK\3\4" + common + name + data
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(out), 0)
    return out + directory + b"PK\5\6" + end


def member(name, array=None, content=None, method=0, flags=0, size=None):
    if content is None:
        stream = io.BytesIO()
        np.save(stream, array)
        content = stream.getvalue()
    return name + b".npy", method, content, len(content) if size is None else size, flags


META = np.frombuffer(b"{}", np.uint8)
meta = member(b"metadata.json", META)


def with_metadata(text):
    return zip_bytes(member(b"metadata.json", np.frombuffer(text, np.uint8)))


def bomb_member(name, shape, blocks):
    head = npy_header(shape)
    data = deflated_zeros(-15, head, blocks)
    return name + b".npy", 8, data, len(head) + blocks * ZEROS, 0


def header_member(name, text):
    return member(name, content=b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text)


x = np.arange(4.0)
STATES = {
    "nothing": b"",
    "an npy": member(b"x", x)[2],
    "no metadata": zip_bytes(member(b"x", x)),
    "metadata as a list": with_metadata(b"[1, 2]"),
    "metadata as a number": with_metadata(b"3"),
    "metadata that is no JSON": with_metadata(b"{"),
    "metadata that is no text": with_metadata(b"\xff\xfe"),
    "deep metadata": with_metadata(b"[" * 100_000),
    "deep dictionaries": with_metadata(b'{"a":' * 100_000),
    "metadata of objects": zip_bytes(
        header_member(
            b"metadata.json",
            b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }" + b" " * 20 + b"\n",
        )
    ),
    "two of one name": zip_bytes(meta, member(b"x", x), member(b"x", x + 1)),
    "an encrypted member": zip_bytes(meta, member(b"x", x, flags=1)),
    "method 99": zip_bytes(meta, member(b"x", x, method=99)),
    "method bzip2": zip_bytes(meta, member(b"x", x, method=12)),
    "method lzma": zip_bytes(meta, member(b"x", x, method=14)),
    "method deflate, stored": zip_bytes(meta, member(b"x", x, method=8)),
    "a name that is no array": zip_bytes(meta, (b"x.txt", 0, b"abc", 3, 0)),
    "a size that is not there": zip_bytes(meta, member(b"x", x, size=1 << 31)),
    "a size that is too small": zip_bytes(meta, member(b"x", x, size=10)),
    "a shape of 1 PB": zip_bytes(meta, member(b"x", content=npy_header((1 << 50,)) + b"few")),
    "a shape of 1e30": zip_bytes(meta, member(b"x", content=npy_header((10**15, 10**15)) + b"few")),
    "100 axes": zip_bytes(meta, member(b"x", content=npy_header((1,) * 100) + b"1")),
    "a deep header": zip_bytes(meta, header_member(b"x", b"(" * 9000)),
    "a negative shape": zip_bytes(meta, member(b"x", content=npy_header((-1,)) + b"few")),
    "a call in the header": zip_bytes(meta, header_member(b"x", b"{'descr': exit(), }\n")),
    "a header of 64 KB": zip_bytes(meta, header_member(b"x", b" " * 65_000)),
    "3 MB that are 3 GB": zip_bytes(meta, bomb_member(b"x", (48 * ZEROS,), 48)),
}

FILES = {f"state: {name}": content for name, content in STATES.items()}
GZIPPED = gzip.compress(bytes(ZEROS)) * 48

FILES |= {
    "npz: npz of 3 GB": (zip_bytes(bomb_member(b"x", (48 * ZEROS,), 48))),
    "npz: npz of 3 GB that has a small size": (
        zip_bytes(
            (
                b"x.npy",
                8,
                deflated_zeros(-15, npy_header((10,)), 48),
                len(npy_header((10,))) + 10,
                0,
            )
        )
    ),
    "idx: idx.gz of 3 GB": (
        gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 3 << 30)) + GZIPPED
    ),
    "idx: idx.gz of 3 GB that has a small size": (
        gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 10)) + GZIPPED
    ),
    "idx: idx of 255 axes": (bytes([0, 0, 8, 255]) + struct.pack(">I", 1) * 255 + b"1"),
    "idx: idx of no elements and large axes": (
        bytes([0, 0, 8, 3]) + struct.pack(">III", 0, 2**32 - 1, 2**32 - 1)
    ),
}


def tar(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def tar_header(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def cifar100(pickled):
    return tar(("c/train", pickled), ("c/test", pickled))


FILES |= {
    "cifar10: tar.gz of 3 GB": (gzip.compress(tar_header("c/train", 3 << 30)) + GZIPPED),
    "cifar10: tar.gz with a long name": (
        gzip.compress(tar_header("././@LongLink", 3 << 30, tarfile.GNUTYPE_LONGNAME)) + GZIPPED
    ),
    "cifar10: tar of many files": (gzip.compress(tar_header("a", 0) * 20_000)),
    "cifar100: tar of two of one name": (
        tar(("c/train", b"."), ("d/train", b"."), ("c/test", b"."))
    ),
}
PICKLES = {
    "deep key": b"}K\1" + b"\x85" * 1_000_000 + b"K\1s.",
    "deep lists": b"]" * 900_000 + b"a" * 899_999 + b".",
    "a list in itself": b"]q\1h\1a.",
    "10 million lists": b"]" * 10_000_000,
    "memo index": b"Nr\xff\xff\xff\x7f.",
    "memo index 2**32 - 1": b"Nr\xff\xff\xff\xff.",
    "memo that was not written": b"j\xff\xff\xff\x7f.",
    "a string of 2 GB": b"T\xff\xff\xff\x7fabc.",
    "a string of -1": b"T\xff\xff\xff\xffabc.",
    "LONG4": b"\x8b\xff\xff\xff\x7f1.",
    "LONG1": b"\x8a\xff" + b"\x7f" * 255 + b".",
    "BINUNICODE": b"X\xff\xff\xff\x7fabc.",
    "BINUNICODE8": b"\x8d" + b"\xff" * 7 + b"\x7fabc.",
    "BINBYTES8": b"\x8e" + b"\xff" * 7 + b"\x7fabc.",
    "BYTEARRAY8": b"\x96" + b"\xff" * 7 + b"\x7fabc.",
    "FRAME": b"\x80\4\x95" + b"\xff" * 8 + b".",
    "NEXT_BUFFER": b"\x80\5\x97.",
    "EXT1": b"\x82\1.",
    "EXT4": b"\x84\xff\xff\xff\x7f.",
    "PERSID": b"Pname\n.",
    "INST": b"(ios\nsystem\n.",
    "OBJ": b"(cos\nsystem\no.",
    "INT": b"I" + b"9" * 100_000 + b"\n.",
    "LONG": b"L" + b"9" * 100_000 + b"L\n.",
    "FLOAT": b"F1e999\n.",
    "FROZENSET": b"(\x91.",
    "STACK_GLOBAL": b"\x8c\2os\x8c\6system\x93.",
    "a long name": b"c" + b"a" * 1_000_000,
    "a huge array": b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R.",
    "a called array": b"cnumpy\nndarray\n(J\xff\xff\xff\x7ftR.",
    "a call of a call": b"cnumpy\ndtype\n)R)R.",
    "a call of a string": b"U\1a)R.",
    "a state for a string": b"U\1aNb.",
    "take from nothing": b"t.",
    "stop": b".",
    "no end": b"N",
    "under a mark": b"N(\x85.",
    "an odd dictionary": b"}(Nu.",
    "a key twice": b"}(U\1aNU\1au.",
}
FILES |= {
    f"cifar100: pickle: {name}": (gzip.compress(cifar100(content), 1))
    for name, content in PICKLES.items()
}


def element(kind, data):
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(shape, name=b"X", size=None, kind=9, stored=2):
    header = element(6, struct.pack("<II", kind, 0)) + element(
        5, struct.pack(f"<{len(shape)}i", *shape)
    )
    size = int(np.prod(shape)) if size is None else size
    return header + element(1, name) + struct.pack("<II", stored, size), size


def mat(*elements):
    return b"MATLAB 5.0".ljust(124) + b"\0\1IM" + b"".join(elements)


def compressed_bomb(name=b"X"):
    head, size = matrix((32, 32, 3, 1_000_000), name=name)
    data = deflated_zeros(15, struct.pack("<II", 14, len(head) + size) + head, 48)
    return mat(struct.pack("<II", 15, len(data)) + data)


def cell(inner):
    header = element(6, struct.pack("<II", 1, 0)) + element(5, struct.pack("<ii", 1, 1))
    return header + element(1, b"X") + inner


deep = b""
for _ in range(300):
    deep = element(14, cell(deep))
small, size = matrix((32, 32, 3, 1))


def digits(shape=(32, 32, 3, 1), **options):
    return matrix(shape, size=3072, **options)[0] + bytes(3072)


def deflated(content, size=None, cut=0):
    size = len(content) if size is None else size
    content = zlib.compress(struct.pack("<II", 14, size) + content)
    return struct.pack("<II", 15, len(content) - cut) + content[: len(content) - cut]


def hidden(content):
    "a compressed variable whose own size is such that its numbers are read as the next variable"
    head, _ = matrix((len(content),), name=b"Z")
    return deflated(head + content, size=len(head))


y = element(14, matrix((1, 1), name=b"y")[0] + bytes(8))
SVHN_FILE = mat(element(14, digits()), y)  # of one image, which is read
FILES |= {
    "svhn: mat of 3 GB": (compressed_bomb()),
    "svhn: mat of 3 GB in a variable that is not read": (compressed_bomb(b"Z")),
    "svhn: mat of cells in cells": (mat(deep)),
    "svhn: mat of a large size": (mat(struct.pack("<II", 14, 2**31), small)),
    "svhn: mat of negative sizes": (mat(element(14, matrix((-1, -1), size=1)[0] + bytes(8)))),
    "svhn: mat of a huge shape": (
        mat(element(14, matrix((2**31 - 1,) * 4, size=9)[0] + bytes(16)))
    ),
    "svhn: mat of a large number of numbers": (mat(element(14, matrix((9, 9), size=2**32 - 1)[0]))),
    "svhn: mat of too few numbers": (mat(element(14, small + bytes(100)))),
    "svhn: mat of many axes": (mat(element(14, matrix((1,) * 3000)[0] + bytes(8)))),
    "svhn: mat with a long name": (mat(element(14, matrix((1,), name=b"X" * 1000)[0] + bytes(8)))),
    **{
        f"svhn: mat of the type {stored}": mat(y, element(14, digits(stored=stored)))
        for stored in (0, 8, 10, 11, 14, 15, 16, 18, 19, 20, 77, 65_535, 2**32 - 1)
    },
    **{
        f"svhn: mat of the class {kind}": mat(y, element(14, digits(kind=kind)))
        for kind in (0, 1, 2, 3, 4, 5, 16, 17, 18, 255, 0x809)
    },
    "svhn: mat of another element": (mat(element(9, bytes(8)))),
    "svhn: mat of no zlib": (mat(element(15, b"not zlib"))),
    "svhn: mat of version 7.3": (
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM").ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n"
    ),
    "svhn: mat of version 4": (struct.pack("<5i", 0, 1, 1, 0, 2) + b"X\0" + bytes(8)),
    "svhn: mat of version 4 under a header of 5": (
        struct.pack("<5i", 50, 3072, 1, 0, 2).ljust(124, b"\0") + SVHN_FILE[124:]
    ),
    "svhn: mat without the checksum of a variable": (mat(y, deflated(digits(), cut=4))),
    "svhn: mat of a variable in another": (mat(hidden(element(14, digits(stored=77))), y)),
    "svhn: mat of a negative number of images": (mat(y, element(14, digits((32, 32, 3, -1))))),
    "svhn: mat of a long compressed variable": (mat(y, deflated(digits() + bytes(8)))),
    "svhn: mat of 6 GB in 96 variables": (mat(*[deflated(bytes(ZEROS))] * 96)),
    "svhn: mat with a name of 4 GB": (
        mat(element(14, matrix((1,))[0][:32] + struct.pack("<II", 1, 2**32 - 1) + bytes(3072)))
    ),
    "svhn: mat twice": (mat(y, *[element(14, digits())] * 2)),
}

FILES["mnist: 2.4 GB of images"] = zip_bytes(
    *(
        bomb_member(name, (1_000_000, 28, 28) if name[:1] == b"x" else (10,), 12)
        for name in (b"x_train", b"y_train", b"x_test", b"y_test")
    )
)
