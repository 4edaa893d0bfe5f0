chmod 600 two.txt
chmod 775 app/lib
