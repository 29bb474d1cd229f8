"""Verbs around sources: source new|check|list."""

import cyclopts

source = cyclopts.App(name="source", help="Make, check and list sources.")
