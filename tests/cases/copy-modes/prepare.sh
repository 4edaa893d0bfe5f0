chmod 2775 app/lib
chmod 4755 app/lib/lib.sh
ln -s app.conf app/link
