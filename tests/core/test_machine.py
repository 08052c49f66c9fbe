"""Machine: the core's C block answers the same in each of its forms.

Its forms for MSVC and for compilers without intrinsics run nowhere else in the tests.
The block is taken out of the header and compiled into a small program, with what MSVC
would offer written in terms of gcc's; where cross compilers and qemu are installed, for
NEON and for a big-endian processor too. Start at `PROGRAM`.
"""

import random
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

import latency_kv

HEADER = Path(latency_kv.__file__).parent / "core" / "machine.pxd"
BLOCK = re.compile(r'cdef extern from \*:\n    """\n(.*?)\n    """', re.DOTALL)
SLOTS = 14

PROGRAM = """
#include <stdint.h>
#include <stdio.h>
#include <string.h>
{before}
{block}
int main(void) {{
    _Alignas(16) unsigned char input[33];
    char stored[8];
    while (fread(input, 1, sizeof input, stdin) == sizeof input) {{
        const char* data = (const char*)input + 16;
        uint64_t a = latency_kv_little_endian64(data);
        uint64_t b = latency_kv_little_endian64(data + 8);
        uint32_t bits = latency_kv_little_endian32(data);
        latency_kv_prefetch(data);
        latency_kv_store_little_endian64(stored, a);
        latency_kv_give_back(stored, sizeof stored);  /* no whole page: it stays */
        if (latency_kv_likely(memcmp(stored, data, 8))) return 1;
        printf("%llx %llx %x %x %x\\n",
            (unsigned long long)latency_kv_fold(a, b),
            (unsigned long long)latency_kv_big_endian64(data),
            bits, bits ? latency_kv_lowest_bit(bits) : 0,
            latency_kv_match(input, input[32]));
    }}
    return 0;
}}
"""

# What is not gcc, without what gcc's own headers need.
OTHER = """
#undef __GNUC__
#undef __clang__
#undef __SIZEOF_INT128__
"""
MSVC = f"""
#include <emmintrin.h>
static inline uint64_t _umul128(uint64_t a, uint64_t b, uint64_t* high) {{
    unsigned __int128 product = (unsigned __int128)a * b;
    *high = (uint64_t)(product >> 64);
    return (uint64_t)product;
}}
static inline uint64_t __umulh(uint64_t a, uint64_t b) {{
    return (uint64_t)(((unsigned __int128)a * b) >> 64);
}}
static inline uint64_t _byteswap_uint64(uint64_t x) {{ return __builtin_bswap64(x); }}
static inline unsigned char _BitScanForward(unsigned long* place, unsigned long x) {{
    *place = (unsigned long)__builtin_ctzl(x);
    return x != 0;
}}
#define __prefetch(p) __builtin_prefetch(p)
#define __UNUSED __attribute__((unused))
static __UNUSED const void* const offered[] = {{
    (const void*)_umul128, (const void*)__umulh,
    (const void*)_byteswap_uint64, (const void*)_BitScanForward,
}};
{OTHER}
#undef __BYTE_ORDER__
#undef __SSE2__
#define _MSC_VER 1940
"""
FORMS = {
    "as it is": "",
    "portable": "#define LATENCY_KV_PORTABLE",
    "plain C": f"{OTHER}#define LATENCY_KV_PORTABLE",
    "MSVC for x86-64": f"{MSVC}#define _M_X64 100",
    # Its NEON is gcc's, below.
    "MSVC for arm64": f"{MSVC}#define _M_ARM64 1\n#define LATENCY_KV_PORTABLE",
}
COMPILERS: dict[str, tuple[list[str], list[str]]] = {
    "cc": ([(sysconfig.get_config_var("CC") or "cc").split()[0]], []),
    "clang": (["clang"], []),
    "arm64": (["aarch64-linux-gnu-gcc", "-static"], ["qemu-aarch64-static"]),
    "s390x": (["s390x-linux-gnu-gcc", "-static"], ["qemu-s390x-static"]),
}


def tool(name: str) -> str:
    """The path of a program, Debian's clang with its version too; a skip without it."""
    path = shutil.which(name) or shutil.which(f"{name}-14")
    if path is None:
        pytest.skip(f"{name} is missing")
    return path


def answers(
    compiler: str, form: str, folder: Path, inputs: list[bytes]
) -> list[list[str]]:
    """What the block says of each input when it is compiled so."""
    command, runner = COMPILERS[compiler]
    runner = [tool(name) for name in runner]
    block = BLOCK.search(HEADER.read_text())
    assert block
    source, binary = folder / "machine.c", folder / "machine"
    # In a string of Cython's a backslash is written twice.
    code = block[1].replace("\\\\", "\\")
    source.write_text(PROGRAM.format(before=FORMS[form], block=code))
    (folder / "intrin.h").touch()
    warnings = ["-Wall", "-Wextra", "-Werror"]
    subprocess.run(
        [tool(command[0]), *command[1:], "-O2", *warnings, f"-I{folder}"]
        + [f"-o{binary}", str(source)],
        check=True,
    )
    done = subprocess.run(
        [*runner, str(binary)], input=b"".join(inputs), capture_output=True, check=True
    )
    return [line.split() for line in done.stdout.decode().splitlines()]


def expected(data: bytes) -> list[str]:
    control, tag = data[:16], data[32]
    a = int.from_bytes(data[16:24], "little")
    b = int.from_bytes(data[24:32], "little")
    bits = a & 0xFFFFFFFF
    matching = sum(1 << place for place in range(SLOTS) if control[place] == tag)
    numbers = [
        (a * b ^ a * b >> 64) & (1 << 64) - 1,
        int.from_bytes(data[16:24], "big"),
        bits,
        (bits & -bits).bit_length() - 1 if bits else 0,
        matching,
    ]
    return [f"{number:x}" for number in numbers]


def made_up(chance: random.Random) -> bytes:
    """Control bytes, two words, a tag that is often among them."""
    control = chance.choice(
        [chance.randbytes(16), bytes(chance.choices(b"\0\1\x80", k=16))]
    )
    words = b"".join(
        chance.choice([chance.randbytes(8), b"\xff" * 8, bytes(8), b"\1" + bytes(7)])
        for _ in range(2)
    )
    return control + words + bytes([chance.choice([*control, 0, 1, 0x80, 0xFF])])


@pytest.mark.parametrize(
    ("compiler", "form"),
    [
        *(("cc", form) for form in FORMS),
        *(("clang", form) for form in FORMS),
        *((name, form) for name in ("arm64", "s390x") for form in list(FORMS)[:3]),
    ],
)
def test_block_answers_the_same_in_each_form(
    compiler: str, form: str, tmp_path: Path, seed: int
) -> None:
    inputs = [made_up(random.Random(seed + number)) for number in range(1_000)]
    assert answers(compiler, form, tmp_path, inputs) == list(map(expected, inputs))
