"""``python tests/long_record.py JUNIT.xml``: writes what the last ``make test-long`` found into ``tests/LONG.md``."""

import collections
import datetime
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

PAGE = Path(__file__).with_name("LONG.md")
SHOWN = 15


def record(report):
    """The page about a run, in Markdown.

    Args:
      report: the root of a report that pytest wrote with ``--junitxml``.
    """
    suite = next(report.iter("testsuite"))
    count = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    bad = count["failures"] + count["errors"]
    passed = count["tests"] - bad - count["skipped"]
    seconds = collections.Counter()
    told = []
    for case in suite.iter("testcase"):
        name = case.get("classname").removeprefix("tests.")
        seconds[name] += float(case.get("time"))
        for kind in ("failure", "error", "skipped"):
            for found in case.findall(kind):
                first = ((found.get("message") or "").splitlines() or [""])[0].replace(str(PAGE.parents[1]), ".")
                told.append(f"| {name} | `{case.get('name')}` | {kind} | {first[:100].replace('|', ' ')} |")
    when = datetime.datetime.fromisoformat(suite.get("timestamp"))
    lines = [
        "# The last run of `make test-long`",
        "",
        f"**{passed} of {count['tests']} tests passed**, {bad} failed, {count['skipped']} skipped; "
        f"{float(suite.get('time')) / 60:.0f} minutes on {os.cpu_count()} cores, {when:%Y-%m-%d}, "
        f"Python {platform.python_version()}, jax {version('jax')}. `make test-long` writes this page.",
        "",
    ]
    if told:
        lines += ["| file | test | what | why |", "| --- | --- | --- | --- |", *told, ""]
    lines += ["| file | minutes, all its long tests |", "| --- | --- |"]
    lines += [f"| {name} | {spent / 60:.1f} |" for name, spent in seconds.most_common(SHOWN)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(record(ElementTree.parse(sys.argv[1]).getroot()), encoding="utf-8")
