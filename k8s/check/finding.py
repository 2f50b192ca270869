"""What a check finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One fault: in which overlay, object and field, by which rule, what is wrong, and the remedy."""

    overlay: str
    where: str
    path: str
    rule: str
    what: str
    remedy: str

    def __str__(self) -> str:
        text = f"{self.overlay}: {self.where}: {self.path}: {self.what}; {self.remedy} [{self.rule}]"
        return " ".join(text.split())
