"""The one blueprint that all page modules register on."""

from flask import Blueprint

pages = Blueprint("pages", __name__)
