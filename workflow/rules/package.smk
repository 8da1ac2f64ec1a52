# Which Snakemake and which mckl these rules run with: the source beside the Snakefile, or, if they come
# from git or from an installed package, the installed package.
import os
import re
import sys
from pathlib import Path

import snakemake

if not (9, 27) <= (*map(int, snakemake.__version__.split(".")[:2]),) < (10,):
    sys.exit(
        f"mckl: Snakemake {snakemake.__version__} is installed, expected >= 9.27 and < 10: "
        "pip install 'snakemake >= 9.27, < 10'"
    )

from snakemake.sourcecache import HostingProviderFile, LocalGitFile, LocalSourceFile

HERE = workflow.current_basedir
FROM_DISK = isinstance(HERE, LocalSourceFile)
BESIDE = Path(HERE.path).parents[1] / "src" if FROM_DISK else None
if FROM_DISK and BESIDE.is_dir():
    # Also in jobs, in conda environments and as a module.
    sys.path.insert(0, str(BESIDE))
    os.environ.update(
        PYTHONPATH=os.pathsep.join(
            [str(BESIDE), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
    )


def source_of_package():
    """What `pip install` takes to install the package of exactly these rules."""
    if isinstance(HERE, HostingProviderFile):
        return f"'mckl[study] @ git+https://{HERE.host}/{HERE.repo}@{HERE.ref}'"
    if isinstance(HERE, LocalGitFile):
        return (
            f"'mckl[study] @ git+file://{os.path.abspath(HERE.repo_path)}@{HERE.ref}'"
        )
    return f"'mckl[study] == {stated_version()}'"


def stated_version():
    """The version of mckl that these rules are of."""
    path = workflow.source_path("../../src/mckl/__init__.py")
    return re.search(r'^__version__ = "(.*)"', Path(path).read_text(), re.MULTILINE)[1]


def digests_in_git():
    """Git's digests of the files of the commit that these rules are of, by name; none for a URL."""
    if isinstance(HERE, HostingProviderFile):
        repository = HERE.hosted_repo.repo
    elif isinstance(HERE, LocalGitFile):
        from git import Repo

        repository = Repo(HERE.repo_path)
    else:
        return {}
    folder = HERE.join("../..").path.removeprefix(".")
    listed = repository.git.ls_tree("-r", f"{HERE.ref}:{folder}")
    rows = (line.partition("\t") for line in listed.splitlines())
    return {name: about.split()[2] for about, _, name in rows}


def unfit_package():
    """Why the installed package is not the one of these rules, and what to install; or None."""
    try:
        import mckl
    except ImportError as error:
        if error.name != "mckl":
            raise
        return f"the package mckl is not installed: pip install {source_of_package()}"
    if mckl.__version__ != stated_version():
        return (
            f"mckl {mckl.__version__} is installed, but this workflow is of mckl "
            f"{stated_version()}: pip install {source_of_package()}"
        )
    try:
        from mckl.record.shipped import other_files
    except ImportError:  # of a commit before this function
        others = "src/mckl/record/shipped.py"
    else:
        others = other_files(digests_in_git())
    if others:
        return (
            f"the installed mckl {mckl.__version__} has other code than this workflow "
            f"({others}): pip install --force-reinstall --no-deps {source_of_package()}"
        )


if not FROM_DISK and workflow.is_main_process:
    if unfit := unfit_package():
        sys.exit(f"mckl: {unfit}")

from mckl.record.shipped import shipped

# The folder of config.yaml, workflow/ and scripts/ on disk: the checkout, or the package's copy.
ROOT = shipped()
