"""The table of languages in the README: those whose clients have passed here on every data plane.

    readme_table.py          writes it, from what clients_test.py has recorded in build/languages
    readme_table.py check    fails unless the README names the languages of clients.py, all of them
"""

import json
import sys
from pathlib import Path

from clients import LANGUAGES, WORK

README = Path(__file__).parents[2] / "README.md"
PLANES = ("passthrough", "cached", "link")
BEGIN, END = "<!-- languages: written by tests/languages/readme_table.py -->\n", "<!-- languages: end -->\n"


def rows(languages) -> str:
    lines = [f"| {language.name} | {language.maps_with} | [{language.source}](tests/languages/clients/{language.source}) |\n"
             for language in languages]
    return "| | maps with | client |\n| --- | --- | --- |\n" + "".join(lines)


def main() -> None:
    before, rest = README.read_text().split(BEGIN)
    written, after = rest.split(END)
    if sys.argv[1:] == ["check"]:
        if written != rows(LANGUAGES):
            sys.exit("README.md: not the languages of clients.py; run tests/run.sh --languages, then readme_table.py")
        return
    passed = [set(json.loads((WORK / f"passed.{plane}.json").read_text())) for plane in PLANES]
    README.write_text(before + BEGIN + rows(l for l in LANGUAGES if l.name in set.intersection(*passed)) + END + after)


if __name__ == "__main__":
    main()
