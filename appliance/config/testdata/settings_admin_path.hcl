# A socket of the admin interface that depends on the working directory.
hostname = "mail.example.com"
admin { address = "unix:admin.sock" }
