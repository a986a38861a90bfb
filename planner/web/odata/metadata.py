"""`$metadata`: the entity sets in OData's own schema language (CSDL)."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, tostring

from planner.web.odata.cells import Kind
from planner.web.odata.sets import EntitySet

EDMX = "http://docs.oasis-open.org/odata/ns/edmx"
EDM = "http://docs.oasis-open.org/odata/ns/edm"
NAMESPACE = "Planner"


def metadata(sets: Iterable[EntitySet]) -> str:
    """The CSDL document of these sets."""
    root = Element("edmx:Edmx", {"Version": "4.0", "xmlns:edmx": EDMX})
    schema = SubElement(SubElement(root, "edmx:DataServices"), "Schema", {"Namespace": NAMESPACE, "xmlns": EDM})
    listed = list(sets)
    for found in listed:
        _describe(schema, found)
    container = SubElement(schema, "EntityContainer", {"Name": "Figures"})
    for found in listed:
        SubElement(container, "EntitySet", {"Name": found.name, "EntityType": f"{NAMESPACE}.{found.entity}"})
    return tostring(root, encoding="unicode", xml_declaration=False)


def _describe(schema: Element, found: EntitySet) -> None:
    entity = SubElement(schema, "EntityType", {"Name": found.entity})
    key = SubElement(entity, "Key")
    for name in found.key:
        SubElement(key, "PropertyRef", {"Name": name})
    for name, kind in found.kinds.items():
        about = {"Name": name, "Type": kind.value}
        if name in found.key:
            about["Nullable"] = "false"
        if kind is Kind.EXACT:
            about["Scale"] = "variable"
        if kind is Kind.MOMENT:
            about["Precision"] = "6"
        SubElement(entity, "Property", about)
