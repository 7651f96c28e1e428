"""The subjects by name; another peer is one more file here and one more line below."""

from benchmarks.subjects import bullmq, celery_own, floor, huey, python_peers, sidekiq, umbel
from benchmarks.subjects.subject import Subject, Variant

__all__ = ["SUBJECTS", "Subject", "Variant"]

SUBJECTS: dict[str, Subject] = {
    subject.name: subject
    for subject in (
        umbel.UMBEL,
        umbel.DURABLE,
        huey.AS_SHIPPED,
        huey.NO_FSYNC,
        celery_own.SQLALCHEMY,
        celery_own.FILESYSTEM,
        umbel.ON_REDIS,
        celery_own.PREFORK,
        celery_own.THREADS,
        celery_own.SOLO,
        python_peers.DRAMATIQ,
        python_peers.TASKIQ_LIST,
        python_peers.TASKIQ_STREAMS,
        python_peers.SAQ,
        python_peers.STREAQ,
        python_peers.RQ,
        huey.ON_REDIS,
        python_peers.PROCRASTINATE,
        bullmq.BULLMQ,
        sidekiq.SIDEKIQ,
        floor.FLOOR,
    )
}
