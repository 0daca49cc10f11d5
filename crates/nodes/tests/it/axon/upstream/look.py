"""Run in the folder of an Axon instance: what Axon itself sees and can decrypt in it."""
import hashlib
import json
import os
import sys

sys.path.insert(0, os.getcwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "axon_project.settings"
import django

django.setup()
from django.db import connection
from applets.models import Applet, AppletData, AppletSharedState, HighScore
from core.models import User
from core.services.bitsync_service import BitSyncService
from core.services.service_manager import service_manager
from core.services.sync_service import SyncService

service_manager.bitsync_service = BitSyncService()
service_manager.sync_service = SyncService()


def opens(manifest):
    plain = service_manager.sync_service.get_decrypted_content(manifest)
    return plain is not None and hashlib.sha256(plain).hexdigest() == manifest["content_hash"]


with connection.cursor() as cursor:
    cursor.execute("PRAGMA foreign_key_check")
    breaches = len(cursor.fetchall())
for row in list(Applet.objects.all()) + list(HighScore.objects.all()):
    row.full_clean()
print(json.dumps({
    "applets": {applet.name: opens(applet.code_manifest) for applet in Applet.objects.all()},
    "owners": {applet.name: applet.owner and applet.owner.username for applet in Applet.objects.all()},
    "data": {data.applet.name + "/" + data.owner.username: opens(data.data_manifest) for data in AppletData.objects.all()},
    "scores": HighScore.objects.count(),
    "rooms": AppletSharedState.objects.count(),
    "users": sorted(User.objects.values_list("username", "is_superuser")),
    "breaches": breaches,
}))
