"""A worker with one task, for the exporter to see."""

import os

from celery import Celery

app = Celery("sample", broker=os.environ["BROKER"])
app.conf.worker_send_task_events = True
app.conf.task_send_sent_event = True


@app.task
def deploy(number):
    return number
