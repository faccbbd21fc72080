"""The record of the long tests says what a run of them found."""

from xml.etree import ElementTree

from long_record import PAGE, record

REPORT = """<testsuites>
<testsuite tests="4" failures="1" errors="0" skipped="1" time="125" timestamp="2026-02-03T04:05:06">
<testcase classname="tests.test_a" name="good" time="60"/>
<testcase classname="tests.test_a" name="bad[x]" time="30">
<failure message="HOME/tests: assert 1 == 2&#10;more">where</failure></testcase>
<testcase classname="tests.test_b" name="left" time="0"><skipped message="no chromium"/></testcase>
<testcase classname="tests.test_b" name="good" time="30"/>
</testsuite></testsuites>"""


def test_the_record_says_what_passed_what_did_not_and_what_took_long():
    page = record(ElementTree.fromstring(REPORT.replace("HOME", str(PAGE.parents[1]))))
    assert "**2 of 4 tests passed**, 1 failed, 1 skipped; 2 minutes" in page
    assert "2026-02-03" in page
    assert "| test_a | `bad[x]` | failure | ./tests: assert 1 == 2 |" in page
    assert "| test_b | `left` | skipped | no chromium |" in page
    assert page.index("| test_a | 1.5 |") < page.index("| test_b | 0.5 |")
