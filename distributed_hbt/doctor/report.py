"""Findings for people and for programs."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from distributed_hbt.doctor.finding import Finding, Subject


def line(finding: Finding) -> str:
    """One line: status, check, what was found; and the remedy."""
    text = f"{finding.text}; {finding.remedy}" if finding.remedy else finding.text
    return f"{finding.status:<9}{finding.check:<15}{' '.join(text.split())}"


def verdict(subject: Subject, findings: Sequence[Finding]) -> str:
    """The last line: how many of what, and what that means."""
    count = Counter(finding.status for finding in findings)
    counts = f"{count['ok']} ok, {_many(count['warning'], 'warning')}, {_many(count['failure'], 'failure')}"
    if subject.run is None:
        return counts
    return f"{counts}: {subject.run.name} {'would fail' if count['failure'] else 'can start'}"


def as_json(subject: Subject, findings: Sequence[Finding]) -> str:
    """{"run", "address", "ok", "findings": [{"check", "status", "text", "remedy"}]}; `ok`: no failure."""
    content = {
        "run": None if subject.run is None else subject.run.name,
        "address": subject.address,
        "ok": not has_failed(findings),
        "findings": [asdict(finding) for finding in findings],
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def has_failed(findings: Sequence[Finding]) -> bool:
    """Whether any of them ends the run."""
    return any(finding.status == "failure" for finding in findings)


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
