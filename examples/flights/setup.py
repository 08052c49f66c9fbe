"""Setup: builds the example as users build their own operators, outside the package.

From this directory, with latency_kv, Cython and setuptools installed:

    python setup.py build --build-base BUILD --build-lib LIBRARY

leaves the package `flights`, with its compiled operator, in LIBRARY, and the C code in
BUILD, so that nothing is written beside the sources.
"""

from Cython.Distutils.build_ext import build_ext
from setuptools import Extension, setup

import latency_kv

setup(
    name="flights",
    packages=["flights"],
    package_dir={"flights": "."},
    ext_modules=[
        Extension(
            "flights.compiled",
            ["compiled.pyx"],
            include_dirs=[latency_kv.get_include()],
        )
    ],
    cmdclass={"build_ext": build_ext},
    options={"build_ext": {"cython_c_in_temp": True}},
)
