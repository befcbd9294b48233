"""A Django app as the API has it: a middleware keeps the correlation ID of the request, a filter puts it into every log record."""

import contextvars
import json
import logging
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import JsonResponse
from django.urls import path

current = contextvars.ContextVar("correlation_id", default="-")


class CorrelationMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        # Not taken back at the end: Django logs a 404 after its middleware, and each request sets its own.
        current.set(request.headers.get("X-Correlation-ID", "-"))
        return self.get_response(request)


class CorrelationFilter(logging.Filter):
    def filter(self, record):
        record.correlation_id = current.get()
        return True


class JsonFormatter(logging.Formatter):
    def format(self, record):
        names = {"level": record.levelname, "logger": record.name, "message": record.getMessage()}
        return json.dumps({**names, "correlation_id": record.correlation_id})


def approve(request, identifier):
    logging.getLogger("apps.deployments").info("approved %s", identifier)
    return JsonResponse({"id": identifier, "seen": current.get()})


urlpatterns = [path("api/v1/deployments/<str:identifier>/approve/", approve)]


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


if __name__ == "__main__":
    settings.configure(
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=["__main__.CorrelationMiddleware"],
        ROOT_URLCONF="__main__",
        LOGGING={
            "version": 1,
            "filters": {"correlation": {"()": CorrelationFilter}},
            "formatters": {"json": {"()": JsonFormatter}},
            "handlers": {
                "console": {
                    "class": "logging.StreamHandler",
                    "stream": sys.stdout,
                    "formatter": "json",
                    "filters": ["correlation"],
                }
            },
            "root": {"handlers": ["console"], "level": "INFO"},
            "loggers": {"django.request": {"level": "WARNING"}},
        },
    )
    import django

    django.setup()
    server = make_server("127.0.0.1", 0, WSGIHandler(), handler_class=Quiet)
    print(server.server_port, flush=True)
    server.serve_forever()
