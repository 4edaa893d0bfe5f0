package org.example.greeter;

/** Run with assertions enabled. */
public final class GreeterTest {
    private GreeterTest() {}

    public static void main(String[] words) {
        assert Greeter.answer("de").contains("Guten Tag");
        assert Greeter.answer("unknown").contains("Hello");
        System.out.println("2 tests passed");
    }
}
