"""How the reference becomes a man page: its chapters are sections of their own, and links lead nowhere."""

from docutils import nodes
from sphinx import addnodes

_ELSEWHERE = ("http:", "https:", "mailto:")


def arrange(page: nodes.document) -> None:
    """Rearrange the page as a whole, which has the chapters where the list of them stood."""
    for link in list(page.findall(nodes.reference)):
        if not link.get("refuri", "").startswith(_ELSEWHERE):
            link.replace_self([nodes.emphasis("", link.astext())])
    for chapters in list(page.findall(_is_list_of_chapters)):
        section = chapters.parent
        section.remove(chapters)
        at = section.parent.index(section) + 1
        section.parent[at:at] = [
            chapter for file in chapters.findall(addnodes.start_of_file) for chapter in file.children
        ]


def _is_list_of_chapters(node: nodes.Node) -> bool:
    return isinstance(node, nodes.compound) and "toctree-wrapper" in node["classes"]
