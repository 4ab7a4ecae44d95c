"""Spack's recipe for fan-dist. It installs a package that launch/package has made, because Spack has no Swift."""

import os

from spack_repo.builtin.build_systems.generic import Package

from spack.package import *


class FanDist(Package):
    """Trains policies from fixed datasets (offline reinforcement learning) on any number of MPI ranks.

    The directory in which spack is called has the package's tarball:

        spack repo add packaging/spack
        spack install --no-checksum fan-dist abi=openmpi
    """

    homepage = "https://arxiv.org/abs/2605.01663"
    manual_download = True

    license("MIT")

    version("0.3.0")

    variant(
        "abi",
        default="openmpi",
        values=("openmpi", "mpich"),
        multi=False,
        description="Binary interface of the MPI library; the end of the tarball's name",
    )

    depends_on("openmpi@4:", type=("link", "run"), when="abi=openmpi")
    depends_on("mpich@3.3:", type=("link", "run"), when="abi=mpich")
    depends_on("patchelf", type="build")

    requires("platform=linux", msg="the package is for Linux")
    requires("target=x86_64:", msg="the package is for x86_64")

    def url_for_version(self, version):
        abi = "openmpi" if self.spec.satisfies("abi=openmpi") else "mpich"
        return f"file://{os.getcwd()}/fan-dist-{version}-linux-x86_64-{abi}.tar.gz"

    def install(self, spec, prefix):
        library = spec["openmpi" if spec.satisfies("abi=openmpi") else "mpich"].prefix.lib
        for program in ("fan-dist", "fan-dist-x86-64-v2"):
            patchelf = which("patchelf", required=True)
            # Debian's MPICH has a name of its own; everywhere else it is libmpi.so.12.
            patchelf("--replace-needed", "libmpich.so.12", "libmpi.so.12", f"bin/{program}")
            patchelf("--set-rpath", library, f"bin/{program}")
        install_tree(".", prefix)

    @run_after("install")
    def check_install(self):
        Executable(self.prefix.bin.join("fan-dist"))("--version")
