"""The subjects by name; another peer is one more file here and one more line below."""

from benchmarks.subjects import celery_own, huey_sqlite, umbel
from benchmarks.subjects.subject import Subject, Variant

__all__ = ["SUBJECTS", "Subject", "Variant"]

SUBJECTS: dict[str, Subject] = {
    subject.name: subject
    for subject in (
        umbel.UMBEL,
        umbel.DURABLE,
        umbel.ON_REDIS,
        huey_sqlite.AS_SHIPPED,
        huey_sqlite.NO_FSYNC,
        celery_own.SQLALCHEMY,
        celery_own.FILESYSTEM,
        celery_own.REDIS,
    )
}
