import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import jxl.Workbook;
import jxl.write.Formula;
import jxl.write.Label;
import jxl.write.WritableSheet;
import jxl.write.WritableWorkbook;

/** Writes an .xls: a sheet's name and a path as arguments; row, column, "=" or nothing, and a text in each line. */
public class JExcelApi {
    public static void main(String[] told) throws Exception {
        WritableWorkbook book = Workbook.createWorkbook(new File(told[1]));
        WritableSheet page = book.createSheet(told[0], 0);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] cell = line.split("\t", 4);
            int row = Integer.parseInt(cell[0]);
            int column = Integer.parseInt(cell[1]);
            page.addCell(
                cell[2].isEmpty() ? new Label(column, row, cell[3]) : new Formula(column, row, cell[3]));
        }
        book.write();
        book.close();
    }
}
