package org.example.greeter;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URL;
import java.nio.charset.StandardCharsets;

/** "serve", or "check" whether one serves. */
public final class Main {
    private Main() {}

    public static void main(String[] words) throws IOException {
        var port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
        switch (words.length == 1 ? words[0] : "") {
            case "serve" -> serve(port);
            case "check" -> check(port);
            default -> {
                System.err.println("usage: greeter serve|check");
                System.exit(2);
            }
        }
    }

    private static void serve(int port) throws IOException {
        var server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
        server.createContext("/", exchange -> {
            var language = exchange.getRequestURI().getPath().substring(1);
            var body = Greeter.answer(language).getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
        System.out.println("listening on 127.0.0.1:" + server.getAddress().getPort());
    }

    private static void check(int port) throws IOException {
        var connection = (HttpURLConnection) new URL("http://127.0.0.1:" + port + "/").openConnection();
        System.out.println(connection.getResponseCode() == 200 ? "healthy" : "ill");
        System.exit(connection.getResponseCode() == 200 ? 0 : 1);
    }
}
