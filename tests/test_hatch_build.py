"""The build rewrites imports of our packages, and nothing else."""

import pytest

from hatch_build import rewritten
from tests.commands import ROOT

REWRITTEN = {
    "from core import hooks\n": "from seisiun.core import hooks\n",
    "from core.rules.flips import (\n    Cause,\n)\n": "from seisiun.core.rules.flips import (\n    Cause,\n)\n",
    "def f():\n    from  web import drain\n": "def f():\n    from  seisiun.web import drain\n",
    'fir = "fír"; from jobs import sweep\n': 'fir = "fír"; from seisiun.jobs import sweep\n',
    "import os, core.clock as c, web as w\n": "import os, seisiun.core.clock as c, seisiun.web as w\n",
    "from core import a; from web import b\n": "from seisiun.core import a; from seisiun.web import b\n",
    "if a:\r\n    from core import x\r\n# fin": "if a:\r\n    from seisiun.core import x\r\n# fin",
}
LEFT_ALONE = [
    "from .core import hooks\nfrom . import web\n",
    "from corelib import x\nimport webob\nfrom flask.core import web\n",
    '"""from core import hooks"""\n# from core import hooks\nx = "core.hooks", "-m web"\n',
    "from seisiun import core\n",
]


@pytest.mark.parametrize("source", REWRITTEN)
def test_an_import_of_ours_is_rewritten_where_it_stands(source: str) -> None:
    assert rewritten(source.encode()).decode() == REWRITTEN[source]


@pytest.mark.parametrize("source", LEFT_ALONE)
def test_everything_else_is_left_as_it_is(source: str) -> None:
    assert rewritten(source.encode()).decode() == source


def test_an_import_that_binds_the_name_of_our_package_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^line 2: write `from ... import` instead of `import core.store`$"):
        rewritten(b"import os\nimport core.store\n")


def test_a_module_grows_by_the_name_once_for_each_import() -> None:
    source = (ROOT / "core" / "active_session_manager.py").read_bytes()

    assert rewritten(source).replace(b"from seisiun.core", b"from core") == source
    assert rewritten(source).count(b"seisiun.") == source.count(b"from core.") > 5
