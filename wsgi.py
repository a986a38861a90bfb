"""The app for any WSGI server: `gunicorn --no-control-socket wsgi:app`."""

from planner.settings import Settings
from planner.web.app import create_app

app = create_app(Settings.from_env())
